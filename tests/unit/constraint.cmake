mayfly_test(test_constraint unit SOURCES ${CMAKE_CURRENT_LIST_DIR}/constraint.c
  LIBS mayfly_common)
