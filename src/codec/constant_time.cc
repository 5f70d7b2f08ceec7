#include "codec/constant_time.h"

#include <openssl/crypto.h>

namespace pitr {

bool equal_in_constant_time(ByteView a, ByteView b) {
  return a.size() == b.size() && ::CRYPTO_memcmp(a.data(), b.data(), a.size()) == 0;
}

}  // namespace pitr
