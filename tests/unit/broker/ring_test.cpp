#include "ipc/ring.hpp"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include <cstring>
#include <optional>
#include <string>

namespace sallyport::ipc {
namespace {

class Lines : public testing::Test {
protected:
    void SetUp() override {
        auto ring = Ring::create();
        ASSERT_TRUE(ring);
        broker_.emplace(*std::move(ring));
        auto other = Ring::map(UniqueFd(::fcntl(broker_->fd().get(), F_DUPFD_CLOEXEC, 3)));
        ASSERT_TRUE(other);
        recorder_.emplace(*std::move(other));
    }
    std::string next() {
        std::string line;
        const auto got = recorder_->take(position_, line);
        EXPECT_TRUE(got);
        return got && *got ? line : "";
    }
    std::optional<Ring> broker_;
    std::optional<Ring> recorder_;
    std::uint64_t position_ = 0;
};

TEST_F(Lines, ComeInOrderAndOnce) {
    EXPECT_TRUE(broker_->put("first"));
    EXPECT_TRUE(broker_->put("second, longer"));
    EXPECT_EQ(next(), "first");
    EXPECT_EQ(next(), "second, longer");
    EXPECT_EQ(next(), "");
    EXPECT_TRUE(broker_->put("third"));
    EXPECT_EQ(next(), "third");
}

TEST_F(Lines, StayUntilTheRecorderSaysThatTheyAreWritten) {
    const std::string line(1000, 'x');
    std::size_t put = 0;
    while (broker_->put(line)) ++put;
    EXPECT_GT(put, kLogRing / 1100);
    EXPECT_FALSE(broker_->has_room());
    while (!next().empty()) {
    }
    EXPECT_FALSE(broker_->put(line)) << "read, but not written";
    recorder_->words().taken = position_;
    EXPECT_TRUE(broker_->has_room());
    EXPECT_TRUE(broker_->put(line));
    EXPECT_EQ(next(), line);
}

TEST_F(Lines, OfEveryLengthGoAroundTheEnd) {
    std::size_t length = 1;
    for (int at = 0; at < 3000; ++at) {
        const std::string line(length, static_cast<char>('a' + at % 26));
        const std::string other(kMaxLogLine - length, 'z');
        ASSERT_TRUE(broker_->put(line));
        ASSERT_TRUE(broker_->put(other));
        ASSERT_EQ(next(), line);
        recorder_->words().taken = position_;
        ASSERT_EQ(next(), other);
        if (at % 3 == 0) recorder_->words().taken = position_;
        length = (length * 7 + 3) % kMaxLogLine;
    }
}

TEST_F(Lines, OfAnIdleAgentTouchOnlyTheRingsBeginning) {
    for (int at = 0; at < 10'000; ++at) {
        ASSERT_TRUE(broker_->put(std::string(400, 'x')));
        ASSERT_TRUE(broker_->has_room());
        next();
        recorder_->words().taken = position_;
    }
    std::size_t resident = 0;
    struct stat info{};
    ASSERT_EQ(::fstat(broker_->fd().get(), &info), 0);
    resident = static_cast<std::size_t>(info.st_blocks) * 512;
    EXPECT_LT(resident, std::size_t{64} << 10U);
}

// What a broker that was taken over may write into the ring.
TEST_F(Lines, ThatAreNoneAreNeverReadOutsideTheRing) {
    std::string line;
    for (const std::uint64_t put : {std::uint64_t{8}, std::uint64_t{kLogRing + 8}, ~std::uint64_t{0}}) {
        broker_->words().put = put;
        std::uint64_t position = 0;
        const auto got = recorder_->take(position, line);
        EXPECT_TRUE(!got || !*got || line.size() <= kMaxLogLine) << put;
    }
    ASSERT_TRUE(broker_->put("a line"));
    for (const std::uint64_t length :
         {std::uint64_t{kMaxLogLine + 1}, ~std::uint64_t{0} - 1, ~std::uint64_t{0}}) {
        void* data = ::mmap(nullptr, 1 << 20, PROT_READ | PROT_WRITE, MAP_SHARED, broker_->fd().get(), 0);
        ASSERT_NE(data, MAP_FAILED);
        std::memcpy(static_cast<char*>(data) + 4096, &length, sizeof length);
        ::munmap(data, 1 << 20);
        std::uint64_t position = 0;
        EXPECT_FALSE(recorder_->take(position, line)) << length;
        EXPECT_EQ(position, 0U);
    }
    broker_->words().begin = std::uint64_t{1} << 60U;
    std::uint64_t position = 0;
    EXPECT_FALSE(recorder_->take(position, line));
}

// What a recorder that was taken over may write: the broker neither reads nor writes outside, and takes it for full.
TEST_F(Lines, ArePutInsideTheRingWhateverTheRecorderSays) {
    for (const std::uint64_t taken : {~std::uint64_t{0}, std::uint64_t{1} << 63U, std::uint64_t{12345}}) {
        recorder_->words().taken = taken;
        recorder_->words().begin = taken;
        for (int at = 0; at < 3000; ++at) broker_->put(std::string(1000, 'x'));
    }
}

TEST(Ring, OfTheWrongSizeIsNotMapped) {
    UniqueFd fd(::memfd_create("small", MFD_CLOEXEC));
    ASSERT_EQ(::ftruncate(fd.get(), 4096), 0);
    EXPECT_FALSE(Ring::map(std::move(fd)));
}

TEST(Ring, CannotBeMadeSmallerUnderWhoMappedIt) {
    const auto ring = Ring::create();
    ASSERT_TRUE(ring);
    EXPECT_NE(::ftruncate(ring->fd().get(), 0), 0);
}

}  // namespace
}  // namespace sallyport::ipc
