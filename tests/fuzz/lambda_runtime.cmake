mayfly_fuzz(lambda_runtime
  SOURCES ${CMAKE_CURRENT_LIST_DIR}/lambda_runtime/lambda_runtime.c
    ${CMAKE_SOURCE_DIR}/agent/runtime/lambda_document.c
  LIBS mayfly_http)
