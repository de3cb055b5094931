// Frames: what a peer sends with them, cuts short or leaves behind.
#include "ipc/channel.hpp"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <array>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>
#include <thread>
#include <vector>

#include "ipc/handover.hpp"
#include "ipc/limits.hpp"

namespace sallyport::ipc {
namespace {

std::ptrdiff_t count_open() {
    return std::distance(std::filesystem::directory_iterator("/proc/self/fd"), {});
}

class Channel : public ::testing::Test {
protected:
    Channel() : sockets_(*socket_pair()) {}

    UniqueFd& ours() { return sockets_.first; }
    UniqueFd& theirs() { return sockets_.second; }
    // The next frame; "closed" and the like stand for errors.
    std::string next() {
        const auto got = receive(ours(), frame_);
        if (!got) return got.error().code == Errc::kClosed ? "closed" : "error";
        return *got ? std::string(frame_.bytes) : "nothing";
    }

    std::pair<UniqueFd, UniqueFd> sockets_;
    Frame frame_;
};

TEST_F(Channel, DescriptorThatComesWithAFrameIsNotTaken) {
    const std::array gifts{FdRef(0), FdRef(1)};
    const auto before = count_open();
    ASSERT_TRUE(give(theirs(), "frame", gifts));
    EXPECT_EQ(next(), "frame");
    EXPECT_EQ(count_open(), before);
}

TEST_F(Channel, WhatWasHandedOverIsTaken) {
    const std::array gifts{FdRef(0), FdRef(1)};
    ASSERT_TRUE(give(theirs(), "frame", gifts));
    std::vector<UniqueFd> taken;
    ASSERT_TRUE(*take(ours(), frame_, taken));
    EXPECT_EQ(frame_.bytes, "frame");
    EXPECT_EQ(taken.size(), 2U);
    EXPECT_EQ(::fcntl(taken.at(0).get(), F_GETFD), FD_CLOEXEC);
}

TEST_F(Channel, FrameOfTheLimitIsTakenAndALongerOneIsAnError) {
    const std::string longest(kMaxFrame, 'x');
    ASSERT_TRUE(send(theirs(), longest, WhenFull::kFail));
    EXPECT_EQ(next(), longest);
    EXPECT_EQ(send(theirs(), longest + "x", WhenFull::kFail).error().code, Errc::kLimit);
    ASSERT_EQ(::write(theirs().get(), (longest + "x").data(), kMaxFrame + 1), ssize_t{kMaxFrame + 1});
    EXPECT_EQ(next(), "error");
}

TEST_F(Channel, LastFramesOfAPeerThatHasNotReadAllComeBeforeItsEnd) {
    ASSERT_TRUE(send(ours(), "never read", WhenFull::kFail));
    ASSERT_TRUE(send(theirs(), "last", WhenFull::kFail));
    ASSERT_TRUE(send(theirs(), "words", WhenFull::kFail));
    theirs().reset();
    EXPECT_EQ(next(), "last");
    EXPECT_EQ(next(), "words");
    EXPECT_EQ(next(), "closed");
}

// Seen from its kernel: it sleeps in a call. Nobody else of this process does.
bool sleeps(pid_t thread) {
    std::ifstream file("/proc/self/task/" + std::to_string(thread) + "/stat");
    std::string text;
    std::getline(file, text);
    const std::size_t name_end = text.rfind(')');
    return name_end != text.npos && text.substr(name_end + 2, 1) == "S";
}

TEST_F(Channel, WhoWaitsGetsTheFrameThatComesLaterAndThenHearsOfTheEnd) {
    const pid_t waiting = ::gettid();
    std::thread peer([&] {
        while (!sleeps(waiting)) std::this_thread::yield();
        EXPECT_TRUE(send(theirs(), "later", WhenFull::kFail));
        theirs().reset();
    });
    EXPECT_TRUE(receive(ours(), frame_, WhenEmpty::kWait).value_or(false));
    EXPECT_EQ(frame_.bytes, "later");
    EXPECT_EQ(receive(ours(), frame_, WhenEmpty::kWait).error().code, Errc::kClosed);
    peer.join();
}

TEST_F(Channel, WhoWaitsForDescriptorsGetsThoseThatComeLater) {
    const pid_t waiting = ::gettid();
    std::thread peer([&] {
        while (!sleeps(waiting)) std::this_thread::yield();
        const std::array gifts{FdRef(0)};
        EXPECT_TRUE(give(theirs(), "later", gifts));
    });
    std::vector<UniqueFd> taken;
    EXPECT_TRUE(take(ours(), frame_, taken, WhenEmpty::kWait).value_or(false));
    EXPECT_EQ(taken.size(), 1U);
    peer.join();
}

// What was never used is not touched, and so takes no memory.
TEST_F(Channel, OfAFramesBufferAsMuchIsWipedAsTheLongestFrameHasUsed) {
    for (const std::size_t size : {std::size_t{5}, std::size_t{4000}, std::size_t{9}}) {
        ASSERT_TRUE(send(theirs(), std::string(size, 'x'), WhenFull::kFail));
        ASSERT_EQ(next().size(), size);
    }
    EXPECT_EQ(frame_.buffer.get_deleter().used, 4000U);
}

TEST_F(Channel, SendingToAPeerThatIsGoneSaysSo) {
    theirs().reset();
    EXPECT_EQ(send(ours(), "frame", WhenFull::kFail).error().code, Errc::kClosed);
}

TEST_F(Channel, SendingToAPeerThatDoesNotReadSaysSo) {
    const std::string frame(kMaxFrame / 2, 'x');
    Status sent;
    while (sent) sent = send(ours(), frame, WhenFull::kFail);
    EXPECT_EQ(sent.error().code, Errc::kLimit);
}

}  // namespace
}  // namespace sallyport::ipc
