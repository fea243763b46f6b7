add_library(test_runtime_bench STATIC ${CMAKE_SOURCE_DIR}/tests/lib/runtime.c)
target_link_libraries(test_runtime_bench PUBLIC agent_runtime test_sandbox_bench)
add_library(test_runtime_lambda_bench STATIC
  ${CMAKE_CURRENT_LIST_DIR}/runtime_lambda_fixture.c)
target_link_libraries(test_runtime_lambda_bench PUBLIC test_runtime_bench)
foreach(kind lambda lambda_events lambda_replies lambda_ends lambda_extensions)
  mayfly_test(test_runtime_${kind} integration
    SOURCES ${CMAKE_CURRENT_LIST_DIR}/runtime_${kind}.c LIBS test_runtime_lambda_bench
    TIMEOUT 180)
  add_dependencies(test_runtime_${kind} mayfly-warden)
endforeach()
foreach(kind exec http http_ends frozen usage)
  mayfly_test(test_runtime_${kind} integration
    SOURCES ${CMAKE_CURRENT_LIST_DIR}/runtime_${kind}.c LIBS test_runtime_bench TIMEOUT 180)
  add_dependencies(test_runtime_${kind} mayfly-warden)
endforeach()
add_library(test_runtime_recycled_fixture STATIC
  ${CMAKE_CURRENT_LIST_DIR}/runtime_recycled_fixture.c)
target_link_libraries(test_runtime_recycled_fixture PUBLIC test_runtime_bench)
foreach(part recycled recycled_life)
  mayfly_test(test_runtime_${part} integration
    SOURCES ${CMAKE_CURRENT_LIST_DIR}/runtime_${part}.c
    LIBS test_runtime_recycled_fixture TIMEOUT 180)
  add_dependencies(test_runtime_${part} mayfly-warden)
endforeach()
mayfly_test(test_runtime_managed integration
  SOURCES ${CMAKE_CURRENT_LIST_DIR}/runtime_managed.c LIBS test_runtime_bench TIMEOUT 300)
target_compile_definitions(test_runtime_managed PRIVATE
  MANAGED_DIR="${CMAKE_CURRENT_LIST_DIR}/managed")
add_dependencies(test_runtime_managed mayfly-warden)
mayfly_test(test_runtime_seeded integration
  SOURCES ${CMAKE_CURRENT_LIST_DIR}/runtime_seeded.c LIBS test_runtime_bench TIMEOUT 300)
set_tests_properties(integration/test_runtime_seeded PROPERTIES
  ENVIRONMENT "MAYFLY_TEST_BLANKS=8")
add_dependencies(test_runtime_seeded mayfly-warden)
mayfly_test(test_runtime_packages integration
  SOURCES ${CMAKE_CURRENT_LIST_DIR}/runtime_packages.c
          ${CMAKE_SOURCE_DIR}/tests/unit/archive_make.c
  LIBS agent_runtime PkgConfig::ARCHIVE TIMEOUT 120)

# The same in sandboxes that were made ahead, some with the runtime up.
foreach(part exec http frozen recycled recycled_life usage lambda managed)
  add_test(NAME integration/test_runtime_${part}_of_blanks COMMAND test_runtime_${part})
  set_tests_properties(integration/test_runtime_${part}_of_blanks PROPERTIES
    LABELS integration TIMEOUT 300 SKIP_RETURN_CODE 77
    ENVIRONMENT "MAYFLY_TEST_BLANKS=8")
endforeach()
