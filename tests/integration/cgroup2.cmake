# A guest is slow without sanitizers already.
if(NOT MAYFLY_SANITIZE)
  add_test(NAME integration/cgroup2
    COMMAND ${CMAKE_CURRENT_LIST_DIR}/cgroup2.sh ${CMAKE_BINARY_DIR})
  set_tests_properties(integration/cgroup2 PROPERTIES
    LABELS integration-vm TIMEOUT 420 SKIP_RETURN_CODE 77)
endif()
