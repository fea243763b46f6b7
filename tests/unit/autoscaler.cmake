set(dir ${CMAKE_CURRENT_LIST_DIR})
mayfly_test(test_autoscaler unit SOURCES ${dir}/autoscaler.c LIBS controller_core)
target_link_options(test_autoscaler PRIVATE -Wl,--wrap=calloc)
foreach(part config window kpa random)
  mayfly_test(test_autoscaler_${part} unit
    SOURCES ${dir}/autoscaler_${part}.c LIBS controller_core)
endforeach()

# A measurement, run by hand.
add_executable(autoscaler_speed ${dir}/autoscaler_speed.c)
target_link_libraries(autoscaler_speed PRIVATE controller_core)
