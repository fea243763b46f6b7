# What tests run inside sandboxes: static, for whatever root file system is in there.
add_executable(sandbox_probe
  ${CMAKE_CURRENT_LIST_DIR}/probe.c ${CMAKE_CURRENT_LIST_DIR}/probe_process.c
  ${CMAKE_CURRENT_LIST_DIR}/probe_files.c ${CMAKE_CURRENT_LIST_DIR}/probe_resources.c)
target_compile_options(sandbox_probe PRIVATE -fno-sanitize=all)
target_link_options(sandbox_probe PRIVATE -static -fno-sanitize=all)
set_target_properties(sandbox_probe PROPERTIES POSITION_INDEPENDENT_CODE OFF)

add_library(test_sandbox_fixture STATIC ${CMAKE_CURRENT_LIST_DIR}/sandbox_fixture.c)
target_link_libraries(test_sandbox_fixture PUBLIC test_sandbox_bench)
target_compile_definitions(test_sandbox_fixture PUBLIC
  MAYFLY_PROBE="$<TARGET_FILE:sandbox_probe>")
add_dependencies(test_sandbox_fixture mayfly-warden sandbox_probe)

foreach(part sandbox sandbox_calls sandbox_limits)
  mayfly_test(test_${part} integration SOURCES ${CMAKE_CURRENT_LIST_DIR}/${part}.c
    LIBS test_sandbox_fixture TIMEOUT 180)
endforeach()

# The same with sandboxes that were made ahead: what becomes of a blank is no different.
foreach(part warden warden_ends sandbox sandbox_calls sandbox_limits)
  add_test(NAME integration/test_${part}_of_blanks COMMAND test_${part})
  set_tests_properties(integration/test_${part}_of_blanks PROPERTIES
    LABELS integration TIMEOUT 180 SKIP_RETURN_CODE 77
    ENVIRONMENT "MAYFLY_TEST_BLANKS=8")
endforeach()

# And in sandboxes that have had another call.
foreach(part warden sandbox sandbox_calls sandbox_limits)
  add_test(NAME integration/test_${part}_of_recycled COMMAND test_${part})
  set_tests_properties(integration/test_${part}_of_recycled PROPERTIES
    LABELS integration TIMEOUT 180 SKIP_RETURN_CODE 77
    ENVIRONMENT "MAYFLY_TEST_RECYCLED=1")
endforeach()
