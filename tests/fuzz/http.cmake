mayfly_fuzz(http
  SOURCES ${CMAKE_CURRENT_LIST_DIR}/http/http.c
  LIBS mayfly_http llhttp)
