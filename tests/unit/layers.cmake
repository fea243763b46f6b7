add_test(NAME unit/layers COMMAND ${CMAKE_CURRENT_LIST_DIR}/layers.sh)
set_tests_properties(unit/layers PROPERTIES LABELS unit TIMEOUT 180)
