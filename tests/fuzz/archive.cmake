mayfly_fuzz(archive
  SOURCES ${CMAKE_CURRENT_LIST_DIR}/archive/archive.c
  LIBS mayfly_common)
