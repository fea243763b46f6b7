mayfly_test(test_spec unit SOURCES ${CMAKE_SOURCE_DIR}/tests/unit/spec.c LIBS mayfly_proto mayfly_common)
