mayfly_fuzz(lambda_api
  SOURCES ${CMAKE_CURRENT_LIST_DIR}/lambda_api/lambda_api.c
    ${CMAKE_SOURCE_DIR}/tests/unit/controller_core_world.c
    ${CMAKE_SOURCE_DIR}/tests/unit/controller_core_world_store.c
    ${CMAKE_SOURCE_DIR}/tests/unit/controller_core_world_agents.c
    ${CMAKE_SOURCE_DIR}/tests/unit/controller_core_world_look.c
    ${CMAKE_SOURCE_DIR}/tests/unit/controller_core_world_check.c
  LIBS controller_api controller_core cmocka PkgConfig::CRYPTO)
