mayfly_test(test_number unit
  SOURCES ${CMAKE_CURRENT_LIST_DIR}/number.c
  LIBS mayfly_common)
