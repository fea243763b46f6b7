foreach(module args table yaml manifest source logs_seen process)
  mayfly_test(test_cli_${module} unit SOURCES ${CMAKE_CURRENT_LIST_DIR}/cli_${module}.c
    LIBS controller_cli mayfly_common)
endforeach()
