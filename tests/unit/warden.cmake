mayfly_test(test_blank_policy unit
  SOURCES ${CMAKE_CURRENT_LIST_DIR}/blank_policy.c
    ${CMAKE_SOURCE_DIR}/agent/warden/blank_policy.c)
