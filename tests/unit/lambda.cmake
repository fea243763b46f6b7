# What of AWS Lambda's API is pure.
set(gateway ${CMAKE_SOURCE_DIR}/agent/gateway)
mayfly_test(test_sigv4 unit SOURCES ${CMAKE_CURRENT_LIST_DIR}/sigv4.c LIBS mayfly_common)
mayfly_test(test_lambda_parts unit SOURCES ${CMAKE_CURRENT_LIST_DIR}/lambda_parts.c LIBS mayfly_common)
mayfly_test(test_lambda_event unit
  SOURCES ${CMAKE_CURRENT_LIST_DIR}/lambda_event.c ${gateway}/lambda_event.c
  LIBS mayfly_http PkgConfig::CRYPTO)
mayfly_test(test_access_keys unit SOURCES ${CMAKE_CURRENT_LIST_DIR}/access_keys.c
  LIBS controller_core_world controller_core)
