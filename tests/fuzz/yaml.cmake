mayfly_fuzz(yaml
  SOURCES ${CMAKE_CURRENT_LIST_DIR}/yaml/yaml.c
  LIBS mayfly_common)
