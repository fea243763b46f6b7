# mayfly-sim: the cores of a whole cluster on virtual time.
add_executable(mayfly-sim ${CMAKE_CURRENT_LIST_DIR}/main.c ${CMAKE_CURRENT_LIST_DIR}/sim.c
  ${CMAKE_CURRENT_LIST_DIR}/check.c ${CMAKE_CURRENT_LIST_DIR}/clock.c ${CMAKE_CURRENT_LIST_DIR}/store.c
  ${CMAKE_CURRENT_LIST_DIR}/controller.c ${CMAKE_CURRENT_LIST_DIR}/node.c
  ${CMAKE_CURRENT_LIST_DIR}/node_link.c ${CMAKE_CURRENT_LIST_DIR}/node_instance.c
  ${CMAKE_CURRENT_LIST_DIR}/node_grants.c ${CMAKE_CURRENT_LIST_DIR}/node_wire.c
  ${CMAKE_CURRENT_LIST_DIR}/node_messages.c ${CMAKE_CURRENT_LIST_DIR}/usage.c
  ${CMAKE_CURRENT_LIST_DIR}/check_scale.c
  ${CMAKE_CURRENT_LIST_DIR}/node_call.c ${CMAKE_CURRENT_LIST_DIR}/places.c)
target_link_libraries(mayfly-sim PRIVATE agent_core controller_core mayfly_proto)
add_test(NAME sim/mayfly-sim COMMAND mayfly-sim --seed 1 --runs 200)
set_tests_properties(sim/mayfly-sim PROPERTIES LABELS sim TIMEOUT 600)
