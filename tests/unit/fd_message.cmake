mayfly_test(test_fd_message unit SOURCES ${CMAKE_CURRENT_LIST_DIR}/fd_message.c
  LIBS mayfly_common)
