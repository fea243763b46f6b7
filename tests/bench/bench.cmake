# What tests/bench/run drives and is driven with. They are built with the rest, so that they stay
# right, and are no tests.
foreach(helper load spawn copy relay)
  add_executable(bench_${helper} ${CMAKE_SOURCE_DIR}/tests/bench/c/${helper}.c)
endforeach()
# Functions: static, as they run on a root without libraries of their own. Not with a sanitizer,
# whose runtime is none for static programs.
if(NOT MAYFLY_SANITIZE)
  foreach(helper server hello lambda)
    add_executable(bench_${helper} ${CMAKE_SOURCE_DIR}/tests/bench/c/${helper}.c)
    target_link_options(bench_${helper} PRIVATE -static)
    target_compile_options(bench_${helper} PRIVATE -fno-pie)
    set_target_properties(bench_${helper} PROPERTIES POSITION_INDEPENDENT_CODE OFF)
  endforeach()
endif()
