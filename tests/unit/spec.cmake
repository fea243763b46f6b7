mayfly_test(test_spec unit SOURCES ${CMAKE_SOURCE_DIR}/tests/unit/spec.c LIBS mayfly_proto mayfly_common)
mayfly_test(test_spec_layers unit
  SOURCES ${CMAKE_CURRENT_LIST_DIR}/spec_layers.c LIBS mayfly_common mayfly_proto)
