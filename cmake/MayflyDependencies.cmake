# Libraries, all from Debian. A missing one is named together with its package.
find_package(PkgConfig REQUIRED)
find_package(Threads REQUIRED)

function(mayfly_require target package module)
  pkg_check_modules(${target} IMPORTED_TARGET GLOBAL ${module})
  if(NOT ${target}_FOUND)
    message(FATAL_ERROR "${module} not found: apt-get install ${package}")
  endif()
endfunction()

mayfly_require(LIBUV libuv1-dev libuv)
mayfly_require(PROTOBUFC libprotobuf-c-dev libprotobuf-c)
mayfly_require(CURL libcurl4-openssl-dev libcurl)
mayfly_require(JANSSON libjansson-dev jansson)
mayfly_require(YAML libyaml-dev yaml-0.1)
mayfly_require(ARCHIVE libarchive-dev libarchive)
mayfly_require(CRYPTO libssl-dev libcrypto)
mayfly_require(SQLITE libsqlite3-dev sqlite3)
mayfly_require(SECCOMP libseccomp-dev libseccomp)
mayfly_require(CGROUP libcgroup-dev libcgroup)
mayfly_require(ZLIB zlib1g-dev zlib)
mayfly_require(SYSTEMD libsystemd-dev libsystemd)

# nng ships a CMake package, no pkg-config file.
find_package(nng CONFIG REQUIRED)

find_program(PROTOC_C protoc-c REQUIRED)

# llhttp: Debian 13 has libllhttp-dev; Debian 12 ships the generated C sources with
# node-llhttp, which are compiled from where the package puts them.
pkg_check_modules(LLHTTP QUIET IMPORTED_TARGET GLOBAL libllhttp)
if(LLHTTP_FOUND)
  add_library(llhttp ALIAS PkgConfig::LLHTTP)
else()
  find_path(LLHTTP_SOURCES llhttp.c PATHS /usr/share/llhttp NO_DEFAULT_PATH)
  find_path(LLHTTP_HEADER llhttp.h PATHS /usr/share/include/llhttp NO_DEFAULT_PATH)
  if(NOT LLHTTP_SOURCES OR NOT LLHTTP_HEADER)
    message(FATAL_ERROR "llhttp not found: apt-get install node-llhttp (Debian 12) "
                        "or libllhttp-dev (Debian 13)")
  endif()
  add_library(llhttp STATIC ${LLHTTP_SOURCES}/llhttp.c ${LLHTTP_SOURCES}/http.c
              ${LLHTTP_SOURCES}/api.c)
  target_include_directories(llhttp SYSTEM PUBLIC ${LLHTTP_HEADER})
  target_compile_options(llhttp PRIVATE -w -O2)
endif()
