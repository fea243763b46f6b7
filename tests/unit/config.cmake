mayfly_test(test_config unit
  SOURCES ${CMAKE_CURRENT_LIST_DIR}/config.c
  LIBS mayfly_common)
