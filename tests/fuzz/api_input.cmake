mayfly_fuzz(api_input SOURCES ${CMAKE_CURRENT_LIST_DIR}/api_input/api_input.c LIBS controller_api)
