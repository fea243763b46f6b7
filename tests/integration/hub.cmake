mayfly_test(test_hub integration SOURCES ${CMAKE_CURRENT_LIST_DIR}/hub.c
  LIBS controller_hub agent_link)
mayfly_test(test_hub_rounds integration SOURCES ${CMAKE_CURRENT_LIST_DIR}/hub_rounds.c
  LIBS controller_hub agent_link)
