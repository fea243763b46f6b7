add_library(test_hub_bench STATIC ${CMAKE_CURRENT_LIST_DIR}/hub_bench.c)
target_link_libraries(test_hub_bench PUBLIC controller_hub agent_link)
mayfly_test(test_hub integration SOURCES ${CMAKE_CURRENT_LIST_DIR}/hub.c
  LIBS test_hub_bench)
mayfly_test(test_hub_states integration SOURCES ${CMAKE_CURRENT_LIST_DIR}/hub_states.c
  LIBS test_hub_bench)
mayfly_test(test_hub_rounds integration SOURCES ${CMAKE_CURRENT_LIST_DIR}/hub_rounds.c
  LIBS controller_hub agent_link)
