// Addresses to listen on, as they stand in the configuration: "127.0.0.1:9852", "[::1]:9852".
// Numbers only: a name could stand for more than one address, or for another one tomorrow. Pure.
#pragma once

#include <string_view>

#include "common/result.h"
#include "config/config.h"

namespace pitr {

// kInvalid with a message that says what to write.
Result<ListenAddress> parse_listen_address(std::string_view text);
// Whether only this machine can reach it.
bool is_loopback(const ListenAddress& listen);
std::string to_string(const ListenAddress& listen);

}  // namespace pitr
