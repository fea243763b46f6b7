mayfly_test(test_learned unit SOURCES ${CMAKE_CURRENT_LIST_DIR}/learned.c
  LIBS agent_learned)
