add_library(test_sandbox_bench STATIC ${CMAKE_SOURCE_DIR}/tests/lib/sandbox.c)
target_link_libraries(test_sandbox_bench PUBLIC agent_warden_client)
target_compile_definitions(test_sandbox_bench PRIVATE
  MAYFLY_AGENT_DIR="${CMAKE_BINARY_DIR}/agent")
add_dependencies(test_sandbox_bench mayfly-warden)
foreach(part warden warden_ends blanks blanks_memory seeds)
  mayfly_test(test_${part} integration SOURCES ${CMAKE_CURRENT_LIST_DIR}/${part}.c
    LIBS test_sandbox_bench TIMEOUT 180)
endforeach()
