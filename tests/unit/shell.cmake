# Scripts that people run are clean for shellcheck.
find_program(SHELLCHECK shellcheck)
if(SHELLCHECK)
  add_test(NAME unit/shellcheck
    COMMAND ${SHELLCHECK} deploy/quickstart deploy/local-cluster deploy/install-packages
      tests/run .ci/run examples/thumbnail/thumbnail.sh
    WORKING_DIRECTORY ${CMAKE_SOURCE_DIR})
  set_tests_properties(unit/shellcheck PROPERTIES LABELS unit TIMEOUT 120)
endif()
