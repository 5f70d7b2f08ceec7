# Warnings, sanitizers and the two helpers that declare a layer and its tests.

add_library(pitr_options INTERFACE)
# GCC 12 takes the empty state of std::optional and std::expected for uninitialised memory.
target_compile_options(pitr_options INTERFACE -Wall -Wextra -Wshadow -Werror
  $<$<CXX_COMPILER_ID:GNU>:-Wno-maybe-uninitialized>)
target_include_directories(pitr_options INTERFACE ${CMAKE_SOURCE_DIR}/src)

set(PITR_SANITIZE "" CACHE STRING "Sanitizers to build with, as -fsanitize= takes them")
if(PITR_SANITIZE)
  add_compile_options(-fsanitize=${PITR_SANITIZE} -fno-omit-frame-pointer)
  add_link_options(-fsanitize=${PITR_SANITIZE})
endif()

find_program(PITR_CCACHE ccache)
if(PITR_CCACHE)
  set(CMAKE_CXX_COMPILER_LAUNCHER ${PITR_CCACHE})
endif()
find_program(PITR_MOLD mold)
if(PITR_MOLD)
  add_link_options(-fuse-ld=mold)
endif()

# One folder of src/ is one static library, pitr_<name>, of all .cc files below it.
#   pitr_layer(codec DEPENDS pitr_common LIBRARIES OpenSSL::Crypto)
function(pitr_layer name)
  cmake_parse_arguments(arg "" "" "DEPENDS;LIBRARIES" ${ARGN})
  file(GLOB_RECURSE sources CONFIGURE_DEPENDS ${CMAKE_CURRENT_SOURCE_DIR}/${name}/*.cc)
  if(NOT sources)
    return()
  endif()
  add_library(pitr_${name} STATIC ${sources})
  target_link_libraries(pitr_${name} PUBLIC pitr_options ${arg_DEPENDS} PRIVATE ${arg_LIBRARIES})
endfunction()

# One folder of tests/ is one test program, <name>_test, of all .cc files below it.
#   pitr_tests(codec DEPENDS pitr_codec)
function(pitr_tests name)
  cmake_parse_arguments(arg "" "" "DEPENDS" ${ARGN})
  file(GLOB_RECURSE sources CONFIGURE_DEPENDS ${CMAKE_CURRENT_SOURCE_DIR}/${name}/*.cc)
  if(NOT sources)
    return()
  endif()
  add_executable(${name}_test ${sources})
  target_include_directories(${name}_test PRIVATE ${CMAKE_SOURCE_DIR}/tests)
  target_compile_definitions(${name}_test PRIVATE PITR_SOURCE_DIRECTORY="${CMAKE_SOURCE_DIR}")
  target_link_libraries(${name}_test PRIVATE ${arg_DEPENDS} GTest::gmock GTest::gtest_main)
  target_precompile_headers(${name}_test PRIVATE <gtest/gtest.h> <gmock/gmock.h> <string> <vector>)
  gtest_discover_tests(${name}_test DISCOVERY_MODE PRE_TEST
    PROPERTIES TIMEOUT 600)
endfunction()
