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
endif()
