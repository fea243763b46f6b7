mayfly_test(test_session unit SOURCES ${CMAKE_CURRENT_LIST_DIR}/session.c LIBS mayfly_proto)
