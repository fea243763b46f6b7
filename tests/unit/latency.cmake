mayfly_test(test_latency unit SOURCES ${CMAKE_CURRENT_LIST_DIR}/latency.c LIBS mayfly_common)
