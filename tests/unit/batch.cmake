mayfly_test(test_batch unit SOURCES ${CMAKE_CURRENT_LIST_DIR}/batch.c LIBS mayfly_proto z)
