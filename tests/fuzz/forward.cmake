set(gateway ${CMAKE_SOURCE_DIR}/agent/gateway)
mayfly_fuzz(forward
  SOURCES ${CMAKE_CURRENT_LIST_DIR}/forward/forward.c ${gateway}/mark.c ${gateway}/timing.c
  LIBS mayfly_http PkgConfig::CRYPTO)
