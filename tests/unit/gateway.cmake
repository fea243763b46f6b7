# What of the gateway is pure.
set(gateway ${CMAKE_SOURCE_DIR}/agent/gateway)
mayfly_test(test_gateway_parts unit
  SOURCES ${CMAKE_CURRENT_LIST_DIR}/gateway.c ${gateway}/route.c ${gateway}/mark.c
          ${gateway}/headers.c ${gateway}/timing.c
  LIBS mayfly_http PkgConfig::CRYPTO)
