# Warnings, sanitizers and the functions that declare a layer and its tests.

add_library(pitr_options INTERFACE)
# GCC 12 takes the empty state of std::optional and std::expected for uninitialised memory.
target_compile_options(pitr_options INTERFACE -Wall -Wextra -Wshadow -Werror
  -Wno-missing-field-initializers  # members have default values
  $<$<CXX_COMPILER_ID:GNU>:-Wno-maybe-uninitialized>)
target_include_directories(pitr_options INTERFACE ${CMAKE_SOURCE_DIR}/src)

set(PITR_SANITIZE "" CACHE STRING "Sanitizers to build with, as -fsanitize= takes them")
if(PITR_SANITIZE)
  add_compile_options(-fsanitize=${PITR_SANITIZE} -fno-omit-frame-pointer)
  add_link_options(-fsanitize=${PITR_SANITIZE})
endif()
if(PITR_SANITIZE MATCHES thread)
  # GCC 12's thread sanitizer cannot live with the address randomisation of newer kernels.
  set(CMAKE_CROSSCOMPILING_EMULATOR setarch --addr-no-randomize)
endif()

find_program(PITR_CCACHE ccache)
if(PITR_CCACHE)
  # The sloppiness that a precompiled header needs to be cached, and files that use one.
  set(sloppiness pch_defines,time_macros,include_file_mtime,include_file_ctime)
  set(CMAKE_CXX_COMPILER_LAUNCHER
    ${CMAKE_COMMAND} -E env CCACHE_SLOPPINESS=${sloppiness} ${PITR_CCACHE})
  add_compile_options($<$<CXX_COMPILER_ID:GNU>:-fpch-preprocess>)
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
  if(NOT sources)  # headers only
    add_library(pitr_${name} INTERFACE)
    target_link_libraries(pitr_${name} INTERFACE pitr_options ${arg_DEPENDS})
    return()
  endif()
  add_library(pitr_${name} STATIC ${sources})
  target_link_libraries(pitr_${name} PUBLIC pitr_options ${arg_DEPENDS} PRIVATE ${arg_LIBRARIES})
endfunction()

# The precompiled header of all test programs: GoogleTest costs 2 s in every file without it.
function(pitr_test_header)
  file(WRITE ${CMAKE_CURRENT_BINARY_DIR}/test_header.cc.new "// Owns the precompiled header.\n")
  file(COPY_FILE ${CMAKE_CURRENT_BINARY_DIR}/test_header.cc.new
    ${CMAKE_CURRENT_BINARY_DIR}/test_header.cc ONLY_IF_DIFFERENT)
  add_library(pitr_test_header OBJECT ${CMAKE_CURRENT_BINARY_DIR}/test_header.cc)
  target_link_libraries(pitr_test_header PRIVATE pitr_options GTest::gmock GTest::gtest)
  target_precompile_headers(pitr_test_header PRIVATE
    <gtest/gtest.h> <gmock/gmock.h> <string> <vector>)
endfunction()

# One folder of tests/ is one test program, <name>_test, of all .cc files below it.
#   pitr_tests(codec DEPENDS pitr_codec)
# Its tests are registered with CTest under LABELS (unit), unless NO_DISCOVERY says that the caller does
# it. They are listed when the program is built: CTest may then run as a user who cannot write to
# the build directory.
function(pitr_tests name)
  cmake_parse_arguments(arg "NO_DISCOVERY" "LABELS" "DEPENDS" ${ARGN})
  if(NOT arg_LABELS)
    set(arg_LABELS unit)
  endif()
  file(GLOB_RECURSE sources CONFIGURE_DEPENDS ${CMAKE_CURRENT_SOURCE_DIR}/${name}/*.cc)
  if(NOT sources)
    return()
  endif()
  add_executable(${name}_test ${sources})
  target_include_directories(${name}_test PRIVATE ${CMAKE_SOURCE_DIR}/tests)
  target_compile_definitions(${name}_test PRIVATE PITR_SOURCE_DIRECTORY="${CMAKE_SOURCE_DIR}")
  target_link_libraries(${name}_test PRIVATE ${arg_DEPENDS} GTest::gmock GTest::gtest_main)
  # EXPECT_... after an if without braces is GoogleTest's doing, unnamed options have defaults.
  target_compile_options(${name}_test PRIVATE -Wno-dangling-else -Wno-missing-field-initializers)
  target_precompile_headers(${name}_test REUSE_FROM pitr_test_header)
  if(NOT arg_NO_DISCOVERY)
    gtest_discover_tests(${name}_test DISCOVERY_TIMEOUT 120 NO_PRETTY_VALUES
      PROPERTIES TIMEOUT 600 LABELS "${arg_LABELS}")
  endif()
endfunction()
