set(lib ${CMAKE_SOURCE_DIR}/tests/lib)
add_library(test_agents STATIC ${lib}/agents.c ${lib}/agents_function.c
  ${lib}/agents_call.c ${lib}/agents_guard.c)
target_link_libraries(test_agents PUBLIC controller_hub mayfly_http PkgConfig::CRYPTO)
target_compile_definitions(test_agents PRIVATE
  MAYFLY_AGENT="${CMAKE_BINARY_DIR}/agent/mayfly-agent")
foreach(name agent agent_pair agent_hops agent_end)
  mayfly_test(test_${name} integration SOURCES ${CMAKE_CURRENT_LIST_DIR}/${name}.c
    LIBS test_agents TIMEOUT 600)
  add_dependencies(test_${name} mayfly-agent mayfly-warden mayfly-init)
endforeach()
mayfly_test(test_agent_config integration
  SOURCES ${CMAKE_CURRENT_LIST_DIR}/agent_config.c ${CMAKE_SOURCE_DIR}/agent/agent_config.c
  LIBS mayfly_common)
