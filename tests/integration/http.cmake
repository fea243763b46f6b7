mayfly_test(test_http integration
  SOURCES ${CMAKE_CURRENT_LIST_DIR}/http.c ${CMAKE_CURRENT_LIST_DIR}/http_server_child.c
  LIBS mayfly_http)
mayfly_test(test_http_upgrade integration
  SOURCES ${CMAKE_CURRENT_LIST_DIR}/http_upgrade.c
          ${CMAKE_CURRENT_LIST_DIR}/http_server_child.c
  LIBS mayfly_http)
mayfly_test(test_http_client integration
  SOURCES ${CMAKE_CURRENT_LIST_DIR}/http_client.c
  LIBS mayfly_http)
