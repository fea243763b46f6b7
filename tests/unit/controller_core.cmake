set(dir ${CMAKE_CURRENT_LIST_DIR})
add_library(controller_core_world STATIC ${dir}/controller_core_world.c
  ${dir}/controller_core_world_store.c ${dir}/controller_core_world_agents.c
  ${dir}/controller_core_world_look.c ${dir}/controller_core_world_check.c)
target_link_libraries(controller_core_world PUBLIC controller_core)
foreach(part store requests deploy room holds traffic concurrency rollout layers nodes orders places explain journal
    lists random)
  mayfly_test(test_controller_core_${part} unit
    SOURCES ${dir}/controller_core_${part}.c
    LIBS controller_core_world controller_core TIMEOUT 300)
endforeach()
mayfly_test(test_controller_core_memory unit
  SOURCES ${dir}/controller_core_memory.c
  LIBS controller_core_world controller_core TIMEOUT 300)
target_link_options(test_controller_core_memory PRIVATE
  -Wl,--wrap=calloc -Wl,--wrap=reallocarray -Wl,--wrap=strdup)
mayfly_test(test_controller_core_parts unit
  SOURCES ${dir}/controller_core_parts.c LIBS controller_core)
mayfly_test(test_scaling unit SOURCES ${dir}/scaling.c
  LIBS controller_core_world controller_core)
mayfly_test(test_placement unit SOURCES ${dir}/placement.c LIBS controller_core)
mayfly_test(test_placement_choice unit SOURCES ${dir}/placement_choice.c
  LIBS controller_core)

# A measurement, run by hand.
add_executable(controller_core_speed ${dir}/controller_core_speed.c)
target_link_libraries(controller_core_speed PRIVATE controller_core)

# Another: tests/bench/bench_placement builds and runs it.
add_executable(bench_placement ${CMAKE_SOURCE_DIR}/tests/bench/placement.c)
target_link_libraries(bench_placement PRIVATE controller_core)
