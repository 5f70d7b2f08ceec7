// What the container tests share: identities, keys, plain bytes and whole containers made of them.
#pragma once

#include <random>
#include <stdexcept>
#include <string>
#include <vector>

#include "codec/container.h"

namespace pitr::test {

template <typename T>
T value_of(Result<T> result) {
  if (!result.has_value()) throw std::runtime_error(result.error().message());
  if constexpr (!std::is_void_v<T>) return std::move(result).value();
}

inline ContainerIdentity sample_identity(std::string object_name = "main/7-15/pack/a-000001") {
  return {"repo-1", "main/7-15", ContainerKind::kPack, std::move(object_name)};
}

inline DataKey sample_key(std::uint32_t epoch = 1, std::uint8_t fill = 7) {
  std::array<std::uint8_t, 32> secret;
  secret.fill(fill);
  return {epoch, Secret256(secret)};
}

inline Keyring sample_keyring(bool encrypted) {
  Keyring keyring;
  if (encrypted) value_of(keyring.add(sample_key()));
  return keyring;
}

inline Bytes compressible_bytes(std::size_t size, std::uint64_t seed = 1) {
  std::mt19937_64 random(seed);
  Bytes bytes(size);
  for (std::size_t i = 0; i < size; ++i) {
    bytes[i] = static_cast<std::uint8_t>(i % 16 == 0 ? random() : i / 64);
  }
  return bytes;
}

inline Bytes random_bytes(std::size_t size, std::uint64_t seed = 1) {
  std::mt19937_64 random(seed);
  Bytes bytes(size);
  for (auto& byte : bytes) byte = static_cast<std::uint8_t>(random());
  return bytes;
}

// A container of the frames given; its end is left out where there is no metadata.
struct Sample {
  Bytes stored;
  std::vector<std::size_t> frame_offsets;  // in stored; the last one is behind the last frame
};
inline Sample make_sample(const std::vector<Bytes>& frames, const ContainerOptions& options,
                          const ContainerIdentity& identity, bool finished) {
  Sample sample;
  auto writer = value_of(ContainerWriter::create(identity, options));
  writer.header(sample.stored);
  for (const auto& frame : frames) {
    sample.frame_offsets.push_back(sample.stored.size());
    value_of(writer.add_frame(frame, sample.stored));
  }
  sample.frame_offsets.push_back(sample.stored.size());
  if (finished) value_of(writer.finish(as_bytes("metadata"), sample.stored));
  return sample;
}

inline Bytes joined(const std::vector<Bytes>& parts) {
  Bytes all;
  for (const auto& part : parts) all.insert(all.end(), part.begin(), part.end());
  return all;
}

}  // namespace pitr::test
