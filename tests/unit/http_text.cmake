mayfly_test(test_http_text unit
  SOURCES ${CMAKE_CURRENT_LIST_DIR}/http_text.c
  LIBS mayfly_http)
