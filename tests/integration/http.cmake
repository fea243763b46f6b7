mayfly_test(test_http integration
  SOURCES ${CMAKE_CURRENT_LIST_DIR}/http.c ${CMAKE_CURRENT_LIST_DIR}/http_server_child.c
  LIBS mayfly_http)
