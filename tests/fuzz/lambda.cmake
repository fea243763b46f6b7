mayfly_fuzz(lambda
  SOURCES ${CMAKE_CURRENT_LIST_DIR}/lambda/lambda.c ${CMAKE_SOURCE_DIR}/agent/gateway/lambda_event.c
  LIBS mayfly_http PkgConfig::CRYPTO)
