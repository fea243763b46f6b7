# mayfly_test(NAME unit|integration|sim SOURCES a.c b.c LIBS x y [TIMEOUT s] [ARGS ...])
# One cmocka (TAP) program a module; ctest runs it with a time limit and a label.
# A program that exits with 77 was skipped and says why on its output.
set(CMOCKA_LIB cmocka)
function(mayfly_test name label)
  cmake_parse_arguments(T "" "TIMEOUT" "SOURCES;LIBS;ARGS" ${ARGN})
  if(NOT T_TIMEOUT)
    set(T_TIMEOUT 180)
  endif()
  add_executable(${name} ${T_SOURCES})
  target_link_libraries(${name} PRIVATE ${T_LIBS} ${CMOCKA_LIB})
  add_test(NAME ${label}/${name} COMMAND ${name} ${T_ARGS})
  set_tests_properties(${label}/${name} PROPERTIES
    LABELS ${label} TIMEOUT ${T_TIMEOUT} SKIP_RETURN_CODE 77)
  if(MAYFLY_SANITIZE MATCHES "thread")
    set_tests_properties(${label}/${name} PROPERTIES
      ENVIRONMENT TSAN_OPTIONS=suppressions=${CMAKE_SOURCE_DIR}/tests/tsan.supp)
  endif()
endfunction()

# mayfly_fuzz(NAME SOURCES ... LIBS ...): tests/fuzz/<name>/corpus is replayed as a test
# everywhere; with MAYFLY_FUZZ (clang) the same source is a libFuzzer target as well.
function(mayfly_fuzz name)
  cmake_parse_arguments(T "" "" "SOURCES;LIBS" ${ARGN})
  set(dir ${CMAKE_SOURCE_DIR}/tests/fuzz)
  add_executable(replay_${name} ${T_SOURCES} ${dir}/replay.c)
  target_link_libraries(replay_${name} PRIVATE ${T_LIBS})
  add_test(NAME fuzz/${name} COMMAND replay_${name} ${dir}/${name}/corpus)
  set_tests_properties(fuzz/${name} PROPERTIES LABELS fuzz TIMEOUT 120)
  if(MAYFLY_FUZZ)
    add_executable(fuzz_${name} ${T_SOURCES})
    target_link_libraries(fuzz_${name} PRIVATE ${T_LIBS})
    target_link_options(fuzz_${name} PRIVATE -fsanitize=fuzzer)
  endif()
endfunction()
