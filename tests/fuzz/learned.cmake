mayfly_fuzz(learned
  SOURCES ${CMAKE_CURRENT_LIST_DIR}/learned/learned.c
  LIBS agent_learned)
