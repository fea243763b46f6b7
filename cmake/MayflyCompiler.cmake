# Warnings, hardening and sanitizers, the same for every target of the project.
add_compile_definitions(_GNU_SOURCE MAYFLY_VERSION="${PROJECT_VERSION}")
add_compile_options(
  -Wall -Wextra -Wshadow -Wconversion -Wstrict-prototypes -Wmissing-prototypes
  -Wvla -Wundef -Wformat=2 -Wno-unused-parameter -fno-strict-aliasing -g)
if(MAYFLY_WERROR)
  add_compile_options(-Werror)
endif()

if(MAYFLY_SANITIZE)
  add_compile_options(-fsanitize=${MAYFLY_SANITIZE} -fno-omit-frame-pointer
    -fno-sanitize-recover=all)
  add_link_options(-fsanitize=${MAYFLY_SANITIZE})
  if(MAYFLY_FUZZ)
    add_compile_options(-fsanitize=fuzzer-no-link) # coverage, which guides the fuzzer
  endif()
elseif(CMAKE_BUILD_TYPE STREQUAL "Release")
  add_compile_options(-U_FORTIFY_SOURCE -D_FORTIFY_SOURCE=2 -fstack-protector-strong -fPIE)
  add_link_options($<$<STREQUAL:$<TARGET_PROPERTY:TYPE>,EXECUTABLE>:-Wl,-z,relro,-z,now>)
  set(CMAKE_POSITION_INDEPENDENT_CODE ON)
  # Everything is bound at the start anyway (-z now): a call into a library need not go by
  # way of a stub.
  add_compile_options(-fno-plt)
endif()

# A warm call goes through a hundred small functions of a dozen files. Programs whose speed
# matters are optimised as a whole (docs/performance.md); the others, the tests above all, are
# linked from the ordinary code that the same objects hold, in a tenth of the time.
if(CMAKE_BUILD_TYPE STREQUAL "Release" AND CMAKE_C_COMPILER_ID STREQUAL "GNU"
   AND NOT MAYFLY_SANITIZE)
  set(MAYFLY_WHOLE_PROGRAM ON)
  add_link_options($<$<NOT:$<BOOL:$<TARGET_PROPERTY:MAYFLY_WHOLE_PROGRAM>>>:-fno-lto>)
endif()

# An executable, and the libraries that are optimised together with it. -O2: what they have
# to do with is short, and vectorised loops are all preparation for it.
function(mayfly_whole_program executable)
  if(MAYFLY_WHOLE_PROGRAM)
    foreach(target ${executable} ${ARGN})
      target_compile_options(${target} PRIVATE -O2 -flto=auto -ffat-lto-objects)
    endforeach()
    set_target_properties(${executable} PROPERTIES MAYFLY_WHOLE_PROGRAM ON)
    target_link_options(${executable} PRIVATE -flto=auto)
  endif()
endfunction()
