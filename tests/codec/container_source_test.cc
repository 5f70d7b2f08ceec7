// How a container's reader uses the source of its bytes.
#include <gtest/gtest.h>

#include "codec/container.h"
#include "codec/container_samples.h"

namespace pitr::test {

// Counts reads, and fails them where told to.
class CountingSource final : public ByteSource {
 public:
  explicit CountingSource(ByteView bytes) : memory_(bytes) {}
  Result<std::uint64_t> size() const override { return memory_.size(); }
  Result<void> read_at(std::uint64_t offset, MutableByteView into) const override {
    ++reads;
    if (failing) return Error::transient("the network is away");
    return memory_.read_at(offset, into);
  }
  void expect(std::uint64_t offset, std::uint64_t size_bytes) const override {
    expected.emplace_back(offset, size_bytes);
  }
  mutable int reads = 0;
  mutable std::vector<std::pair<std::uint64_t, std::uint64_t>> expected;
  bool failing = false;

 private:
  MemorySource memory_;
};

TEST(Container, OpensASegmentWithOneRead) {
  const auto stored = value_of(seal_object(sample_identity(), {}, compressible_bytes(16 << 20)));
  CountingSource source(stored);
  const auto reader = value_of(ContainerReader::open(source, sample_identity(), {}));
  EXPECT_EQ(reader.frame_count(), 256u);
  EXPECT_EQ(source.reads, 1);
  source.failing = true;
  Bytes into;
  // As the source says it, which names the object itself.
  const auto read = reader.read_frame(0, into);
  ASSERT_FALSE(read.has_value());
  EXPECT_EQ(read.error().kind(), ErrorKind::kTransient);
  EXPECT_EQ(read.error().message(), "the network is away");
  const auto opened = ContainerReader::open(source, sample_identity(), {});
  ASSERT_FALSE(opened.has_value());
  EXPECT_EQ(opened.error().kind(), ErrorKind::kTransient);
  EXPECT_EQ(opened.error().message(), "the network is away");
  EXPECT_EQ(verify_container(source).error().kind(), ErrorKind::kTransient);
}

TEST(Container, TellsTheSourceWhichFramesAreExpected) {
  const auto stored = value_of(seal_object(sample_identity(), {}, compressible_bytes(1 << 20)));
  CountingSource source(stored);
  const auto reader = value_of(ContainerReader::open(source, sample_identity(), {}));
  ASSERT_EQ(reader.frame_count(), 16u);
  reader.expect_frames(3, 2);
  reader.expect_frames(15, 1);
  const auto sealed = [&](std::uint32_t first, std::uint32_t end) {
    const auto offset = reader.sealed_offset(first);
    return std::pair(offset, reader.sealed_offset(end) - offset);
  };
  EXPECT_EQ(source.expected, (std::vector{sealed(3, 5), sealed(15, 16)}));
  reader.expect_frames(15, 2);  // beyond the end
  reader.expect_frames(17, 0);
  reader.expect_frames(4'000'000'000, 4'000'000'000);
  EXPECT_EQ(source.expected.size(), 2u);
  EXPECT_EQ(source.reads, 1);
}

}  // namespace pitr::test
