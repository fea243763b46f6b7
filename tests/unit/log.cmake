mayfly_test(test_log unit
  SOURCES ${CMAKE_CURRENT_LIST_DIR}/log.c
  LIBS mayfly_common)
