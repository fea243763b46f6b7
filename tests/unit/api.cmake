mayfly_test(test_api_input unit SOURCES ${CMAKE_CURRENT_LIST_DIR}/api_input.c LIBS controller_api)
mayfly_test(test_log_merge unit SOURCES ${CMAKE_CURRENT_LIST_DIR}/log_merge.c LIBS controller_api)
