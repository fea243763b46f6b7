mayfly_fuzz(codec
  SOURCES ${CMAKE_CURRENT_LIST_DIR}/codec/codec.c
  LIBS mayfly_proto)
