mayfly_test(test_error unit
  SOURCES ${CMAKE_CURRENT_LIST_DIR}/error.c
  LIBS mayfly_common)
