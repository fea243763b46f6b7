mayfly_test(test_convert unit SOURCES ${CMAKE_CURRENT_LIST_DIR}/convert.c LIBS mayfly_proto)
