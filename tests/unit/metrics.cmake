mayfly_test(test_metrics unit SOURCES ${CMAKE_CURRENT_LIST_DIR}/metrics.c LIBS mayfly_common)
