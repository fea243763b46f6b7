mayfly_test(test_list unit
  SOURCES ${CMAKE_CURRENT_LIST_DIR}/list.c
  LIBS mayfly_common)
