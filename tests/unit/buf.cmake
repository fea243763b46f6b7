mayfly_test(test_buf unit
  SOURCES ${CMAKE_CURRENT_LIST_DIR}/buf.c
  LIBS mayfly_common)
