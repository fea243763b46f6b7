mayfly_test(test_keepalive unit SOURCES ${CMAKE_CURRENT_LIST_DIR}/keepalive.c LIBS agent_core)

# A comparison with fixed times, run by hand: bench_keepalive [TRACE.csv]
add_executable(bench_keepalive ${CMAKE_SOURCE_DIR}/tests/bench/keepalive.c)
target_link_libraries(bench_keepalive PRIVATE agent_core m)
