mayfly_test(test_archive unit
  SOURCES ${CMAKE_CURRENT_LIST_DIR}/archive.c ${CMAKE_CURRENT_LIST_DIR}/archive_make.c
  LIBS mayfly_common PkgConfig::ARCHIVE)
