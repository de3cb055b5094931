// A clerk between a file and the arena: others see of a transfer what is done, and change nothing of it once it has begun.
#include "broker/files/clerk.hpp"

#include <fcntl.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>
#include <functional>
#include <map>
#include <string>

#include "base/clock.hpp"
#include "ipc/channel.hpp"
#include "ipc/codec.hpp"
#include "ipc/handover.hpp"
#include "ipc/limits.hpp"
#include "tests/support/between_calls.hpp"
#include "tests/unit/files/room.hpp"

namespace sallyport::files {
namespace {

constexpr int kPipeSize = 4096;
constexpr std::uint32_t kWritten = 3 * kPipeSize;
constexpr std::size_t kSteps = 200;  // more than the clerk makes

/// A clerk keeps a FIFO, which takes and gives a part of what is moved, and so is asked several times. Before each call of the clerk
/// the test acts.
class ClerksTransfer : public Room {
protected:
    ClerksTransfer() {
        scratch_.make_folder("in");
        if (::mkfifo(path("in/fifo").c_str(), 0600) != 0) throw std::runtime_error("mkfifo");
        allow("in", kChange).kinds = {.fifo = true};
        auto pair = ipc::socket_pair();
        broker_ = std::move(pair->first);
        clerks_end_ = std::move(pair->second);
        arena_.emplace(*ipc::Arena::create());
        fifo_ = UniqueFd(::open(path("in/fifo").c_str(), O_RDWR | O_NONBLOCK | O_CLOEXEC));
        ::fcntl(fifo_.get(), F_SETPIPE_SZ, kPipeSize);
    }
    void order(const ipc::FileOrder& order, FdRef file = FdRef(-1)) {
        std::string bytes;
        ipc::encode(order, bytes);
        EXPECT_TRUE(file.get() < 0 ? ipc::send(broker_, bytes, ipc::WhenFull::kFail)
                                   : ipc::give(broker_, bytes, std::span(&file, 1)));
    }
    ipc::FileReport report() {
        ipc::Frame frame;
        std::string scratch;
        ipc::FileReport report;
        EXPECT_TRUE(ipc::receive(broker_, frame).value_or(false));
        EXPECT_TRUE(ipc::decode(frame.bytes, report, scratch));
        return report;
    }
    /// Has the clerk open the FIFO and move something; then there is nothing more to do.
    ipc::FileReport run(const ipc::FileOrder& move, const std::function<void()>& act) {
        ipc::FileOrder open;
        open.mutable_open()->set_path(path("in/fifo"));
        open.mutable_open()->set_mode(ipc::OpenOrder::UPDATE);
        order(open);
        ipc::FileOrder arena;
        arena.mutable_arena();
        order(arena, arena_->fd());
        order(move);
        EXPECT_EQ(::shutdown(broker_.get(), SHUT_WR), 0);
        std::map<std::size_t, std::function<void()>> acts;
        for (std::size_t step = 0; step < kSteps; ++step) acts[step] = act;
        const auto stepped = test::step_through(
            [this] { EXPECT_TRUE(start()); },
            [this] {
                const int status =
                    Clerk(std::move(clerks_end_), *table_, ExpiryClock(0, read_clocks())).run();
                return std::to_string(status);
            },
            acts);
        EXPECT_EQ(stepped.answer, "0");
        EXPECT_LT(stepped.calls, kSteps);
        EXPECT_TRUE(report().has_opened());
        return report();
    }
    [[nodiscard]] std::size_t in_fifo() const {
        int bytes = 0;
        ::ioctl(fifo_.get(), FIONREAD, &bytes);
        return static_cast<std::size_t>(bytes);
    }
    std::span<std::byte> bytes() { return arena_->chunk(0); }

    UniqueFd broker_, clerks_end_, fifo_;
    std::optional<ipc::Arena> arena_;
};

TEST_F(ClerksTransfer, OfAReadIsInTheArenaWhenAllIsReadAndNotBefore) {
    ipc::FileOrder read;
    read.mutable_read()->set_size(kPipeSize);
    ASSERT_EQ(::write(fifo_.get(), "one ", 4), 4);
    bool has_more_come = false;
    const auto said = run(read, [&] {
        if (has_more_come || in_fifo() > 0 || bytes()[0] != std::byte{0}) return;
        has_more_come = ::write(fifo_.get(), "two", 3) == 3;
    });
    EXPECT_TRUE(has_more_come) << "the first part was in the arena before the second was read";
    ASSERT_EQ(said.moved().size(), 7U);
    EXPECT_EQ(std::memcmp(bytes().data(), "one two", 7), 0);
}

TEST_F(ClerksTransfer, OfAWriteIsWhatLayInTheArenaWhenItBegan) {
    std::ranges::fill(bytes(), std::byte{'a'});
    ipc::FileOrder write;
    write.mutable_write()->set_size(kWritten);
    std::string written;
    const auto drain = [&] {
        std::string some(kWritten, '\0');
        const ssize_t got = ::read(fifo_.get(), some.data(), some.size());
        if (got > 0) written.append(some, 0, static_cast<std::size_t>(got));
        return got > 0;
    };
    const auto said = run(write, [&] {
        if (drain()) std::ranges::fill(bytes(), std::byte{'x'});
    });
    drain();
    EXPECT_EQ(said.moved().size(), kWritten);
    EXPECT_EQ(written, std::string(kWritten, 'a'));
}

}  // namespace
}  // namespace sallyport::files
