# Measured by hand (tests/bench/bench_controller); here only that it still runs.
add_executable(bench_controller ${CMAKE_SOURCE_DIR}/tests/bench/controller/main.c
  ${CMAKE_SOURCE_DIR}/tests/bench/controller/fleet.c
  ${CMAKE_SOURCE_DIR}/tests/bench/controller/subject.c)
target_link_libraries(bench_controller PRIVATE mayfly_proto PkgConfig::CRYPTO)
target_include_directories(bench_controller PRIVATE ${CMAKE_SOURCE_DIR}/tests/bench/controller)
target_compile_definitions(bench_controller PRIVATE
  MAYFLY_CONTROLLER="$<TARGET_FILE:mayfly-controller>")
add_dependencies(bench_controller mayfly-controller)
add_test(NAME bench_controller_smoke
  COMMAND bench_controller --agents 20 --functions 50 --seconds 1 --unpinned)
set_tests_properties(bench_controller_smoke PROPERTIES LABELS bench TIMEOUT 120)
