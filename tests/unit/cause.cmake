mayfly_test(test_cause unit
  SOURCES ${CMAKE_CURRENT_LIST_DIR}/cause.c
  LIBS mayfly_common)
target_compile_definitions(test_cause PRIVATE
  ERRORS_MD="${CMAKE_SOURCE_DIR}/docs/errors.md")
