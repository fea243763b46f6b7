mayfly_test(test_package_store integration
  SOURCES ${CMAKE_CURRENT_LIST_DIR}/package_store.c LIBS controller_api)
target_compile_definitions(test_package_store PRIVATE
  ARCHIVE_CORPUS="${CMAKE_SOURCE_DIR}/tests/fuzz/archive/corpus")
