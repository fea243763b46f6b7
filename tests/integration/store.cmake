# One suite over all engines, and what each engine must do on top of it.
set(store_suite ${CMAKE_CURRENT_LIST_DIR}/store_suite.c
  ${CMAKE_CURRENT_LIST_DIR}/store_random.c ${CMAKE_CURRENT_LIST_DIR}/store_client.c)
foreach(engine memory sqlite etcd)
  if(EXISTS ${CMAKE_CURRENT_LIST_DIR}/store_${engine}.c)
    set(store_sources ${CMAKE_CURRENT_LIST_DIR}/store_${engine}.c ${store_suite})
    if(engine STREQUAL etcd)
      list(APPEND store_sources ${CMAKE_SOURCE_DIR}/tests/lib/etcd.c
        ${CMAKE_CURRENT_LIST_DIR}/store_etcd_faults.c)
    endif()
    mayfly_test(test_store_${engine} integration SOURCES ${store_sources}
      LIBS controller_store PkgConfig::SQLITE PkgConfig::CURL TIMEOUT 240)
  endif()
endforeach()
mayfly_test(test_store_late integration
  SOURCES ${CMAKE_CURRENT_LIST_DIR}/store_late.c ${CMAKE_CURRENT_LIST_DIR}/store_client.c
  LIBS controller_store)
