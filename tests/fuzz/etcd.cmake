mayfly_fuzz(etcd
  SOURCES ${CMAKE_CURRENT_LIST_DIR}/etcd/etcd.c
  LIBS controller_store)
