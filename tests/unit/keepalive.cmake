mayfly_test(test_keepalive unit SOURCES ${CMAKE_CURRENT_LIST_DIR}/keepalive.c LIBS agent_core)

# A comparison with fixed times, run by hand: keepalive_eval [TRACE.csv]
add_executable(keepalive_eval ${CMAKE_CURRENT_LIST_DIR}/keepalive_eval.c)
target_link_libraries(keepalive_eval PRIVATE agent_core m)
