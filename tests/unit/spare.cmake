mayfly_test(test_spare unit
  SOURCES ${CMAKE_CURRENT_LIST_DIR}/spare.c
  LIBS mayfly_common)
