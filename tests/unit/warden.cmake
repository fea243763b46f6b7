mayfly_test(test_blank_policy unit
  SOURCES ${CMAKE_CURRENT_LIST_DIR}/blank_policy.c
    ${CMAKE_SOURCE_DIR}/agent/warden/blank_policy.c)
mayfly_test(test_memory_room unit
  SOURCES ${CMAKE_CURRENT_LIST_DIR}/memory_room.c
    ${CMAKE_SOURCE_DIR}/agent/warden/memory_room.c)
mayfly_test(test_warden_counts unit
  SOURCES ${CMAKE_CURRENT_LIST_DIR}/warden_counts.c
    ${CMAKE_SOURCE_DIR}/agent/warden/warden_counts.c)
