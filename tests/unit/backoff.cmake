mayfly_test(test_backoff unit SOURCES ${CMAKE_CURRENT_LIST_DIR}/backoff.c LIBS mayfly_common)
