mayfly_test(test_lambda_error unit
  SOURCES ${CMAKE_CURRENT_LIST_DIR}/lambda_error.c LIBS agent_runtime)
foreach(part env logs)
  mayfly_test(test_runtime_${part} unit
    SOURCES ${CMAKE_CURRENT_LIST_DIR}/runtime_${part}.c LIBS agent_runtime)
endforeach()
