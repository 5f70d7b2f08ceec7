// XXH3 at the speed that the processor has. The library's own names mean its baseline, SSE2 on x86;
// its dispatching ones choose AVX2 or AVX-512 when they run, at twice the speed and with equal
// values.
//
// For src/codec/ only. The library chooses in its first call and without a lock (xxh_x86dispatch.c
// of xxHash 0.8.1), so digest.cc makes that call before main().
#pragma once

#include <xxhash.h>

#if defined(__x86_64__)
#include <xxh_x86dispatch.h>
#endif
