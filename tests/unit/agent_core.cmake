set(dir ${CMAKE_CURRENT_LIST_DIR})
add_library(agent_core_world STATIC ${dir}/agent_core_world.c)
target_link_libraries(agent_core_world PUBLIC agent_core)
foreach(part calls ends grants traffic pool short gate idle learned seen loads reserved state first peers hops layers memory random parts)
  mayfly_test(test_agent_core_${part} unit
    SOURCES ${dir}/agent_core_${part}.c
    LIBS agent_core_world agent_core m TIMEOUT 300)
endforeach()
target_link_options(test_agent_core_memory PRIVATE
  -Wl,--wrap=calloc -Wl,--wrap=reallocarray -Wl,--wrap=strdup)

# A measurement, run by hand.
add_executable(agent_core_speed ${dir}/agent_core_speed.c)
target_link_libraries(agent_core_speed PRIVATE agent_core)
