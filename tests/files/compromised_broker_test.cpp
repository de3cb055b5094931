// A broker that was taken over beside the real, confined files hand: it speaks to the hand and to its clerks as it likes, and gets no file that
// the policy does not allow.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <csignal>
#include <ctime>
#include <filesystem>
#include <map>
#include <memory>

#include "ipc/arena.hpp"
#include "ipc/codec.hpp"
#include "ipc/files.pb.h"
#include "ipc/handover.hpp"
#include "ipc/limits.hpp"
#include "policy/policy.pb.h"
#include "schema/commands.hpp"
#include "tests/support/agent.hpp"
#include "tests/support/hours.hpp"
#include "tests/support/process.hpp"
#include "tests/support/refused_filter.hpp"
#include "tests/support/scratch.hpp"

namespace sallyport::test {
namespace {

namespace fs = std::filesystem;
namespace compiled = policy::compiled;
using Mode = ipc::OpenOrder;

/// What came, with its descriptor.
template <typename Message>
struct Heard {
    Message message;
    std::vector<UniqueFd> fds;
};

/// A peer of the broker's. Everything waits for it, but not for ever.
class Peer {
public:
    Peer() = default;
    explicit Peer(UniqueFd socket) : socket_(std::move(socket)) {}
    void say(const google::protobuf::MessageLite& message, std::vector<int> fds = {}) const {
        std::string bytes;
        ipc::encode(message, bytes);
        say_bytes(bytes, fds);
    }
    void say_bytes(std::string_view bytes, const std::vector<int>& fds = {}) const {
        std::vector<FdRef> given(fds.begin(), fds.end());
        if (given.empty())
            (void)ipc::send(socket_, bytes, ipc::WhenFull::kFail);
        else
            (void)ipc::give(socket_, bytes, given);
    }
    /// Nothing if the peer has ended.
    template <typename Message>
    std::optional<Heard<Message>> hear() const {
        Heard<Message> heard;
        ipc::Frame frame;
        std::string scratch;
        pollfd wanted{.fd = socket_.get(), .events = POLLIN, .revents = 0};
        if (::poll(&wanted, 1, static_cast<int>(kPatience.count())) != 1)
            throw std::runtime_error("no answer");
        const auto got = ipc::take(socket_, frame, heard.fds);
        if (!got || !*got) return std::nullopt;
        if (!ipc::decode(frame.bytes, heard.message, scratch)) throw std::runtime_error("not a frame");
        return heard;
    }
    [[nodiscard]] bool has_ended() const { return !hear<ipc::FileReport>(); }

private:
    UniqueFd socket_;
};

compiled::Rule rule(const std::string& id, compiled::Rule::Effect effect) {
    compiled::Rule one;
    one.set_id(id);
    one.set_where("policy.toml:1");
    one.set_effect(effect);
    one.add_commands(static_cast<std::uint32_t>(CommandId::kFileOpen));
    return one;
}

class CompromisedBroker : public testing::Test {
protected:
    explicit CompromisedBroker(std::int64_t ahead_s = 0) : ahead_s_(ahead_s) {
        scratch_.write("read/file", "contents");
        scratch_.write("read/keys/key", "secret");
        scratch_.write("work/file", "contents");
        scratch_.write("outside/file", "secret");
        scratch_.write("own/file", "secret");
        for (const char* name : {"always/file", "now/file", "later/file"}) scratch_.write(name, "contents");
        scratch_.make_folder("state", 0700);
        fs::create_symlink(scratch_.path("outside/file"), scratch_.path("read/link"));
        ::mkfifo(scratch_.path("read/fifo").c_str(), 0644);
        start();
        before_ = list();
    }
    ~CompromisedBroker() override { EXPECT_EQ(list(), before_); }

    /// Everything that is there, with contents.
    [[nodiscard]] std::map<std::string, std::string> list() const {
        std::map<std::string, std::string> all;
        for (const auto& entry : fs::recursive_directory_iterator(scratch_.path()))
            all[entry.path()] = entry.is_regular_file() && !entry.is_symlink() ? read_file(entry.path()) : "";
        return all;
    }
    [[nodiscard]] std::string setup() const {
        compiled::Compiled policy;
        policy.set_schema(1);
        policy.set_digest(std::string(32, 'd'));
        compiled::Rule reads = rule("reads", compiled::Rule::ALLOW);
        compiled::FileRule& read = *reads.add_files();
        read.set_under(scratch_.path("read"));
        read.add_access(compiled::FileRule::READ);
        compiled::FileRule& work = *reads.add_files();
        work.set_under(scratch_.path("work"));
        for (const auto access : {compiled::FileRule::READ, compiled::FileRule::WRITE})
            work.add_access(access);
        work.set_max_size(100);
        compiled::FileRule& own = *reads.add_files();
        own.set_under(scratch_.path("own"));
        own.add_access(compiled::FileRule::READ);
        compiled::FileRule& procfs = *reads.add_files();
        procfs.set_under("/proc");
        procfs.add_access(compiled::FileRule::READ);
        compiled::Rule denies = rule("keys", compiled::Rule::DENY);
        denies.add_files()->set_under(scratch_.path("read/keys"));
        *policy.add_rules() = reads;
        *policy.add_rules() = denies;
        add_hours(policy);
        ipc::FilesSetup setup;
        if (ahead_s_ != 0) setup.set_floor(std::time(nullptr) + ahead_s_);
        ipc::encode(policy, *setup.mutable_policy());
        setup.add_own(scratch_.path("own"));
        for (const compiled::Rule& rule : policy.rules())
            for (int file = 0; file < rule.files_size(); ++file) {
                ipc::SeenPath& seen = *setup.add_seen();
                seen.set_is_known(true);
                seen.set_is_in_tree(true);
            }
        std::string bytes;
        ipc::encode(setup, bytes);
        return bytes;
    }
    // Rules that count now and in some hours; and one that denies in some hours.
    void add_hours(compiled::Compiled& policy) const {
        const auto read = [&](const std::string& name) -> compiled::Rule& {
            compiled::Rule& one = *policy.add_rules();
            one = rule(name, compiled::Rule::ALLOW);
            one.add_files()->set_under(scratch_.path(name));
            one.mutable_files(0)->add_access(compiled::FileRule::READ);
            return one;
        };
        const std::int64_t now = std::time(nullptr);
        *read("now").mutable_when() = hours_from(now, -kHour, kHour);
        *read("later").mutable_when() = hours_from(now, kAhead - kHour, kAhead + kHour);
        read("always");
        compiled::Rule& denied = *policy.add_rules();
        denied = rule("denied-later", compiled::Rule::DENY);
        denied.add_files()->set_under(scratch_.path("always"));
        *denied.mutable_when() = hours_from(now, kAhead - kHour, kAhead + kHour);
    }
    void start() {
        auto pair = ipc::socket_pair();
        const UniqueFd memory(::memfd_create("setup", MFD_CLOEXEC));
        const std::string bytes = setup();
        ASSERT_EQ(::write(memory.get(), bytes.data(), bytes.size()), static_cast<ssize_t>(bytes.size()));
        const UniqueFd state(::open(scratch_.path("state").c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
        const std::array from{pair->second.get(), memory.get(), state.get()};
        hand_.emplace(Program{.words = {build_root() + "/broker/files/files"}, .before_exec = [&] {
                                  std::array<int, 3> aside{};
                                  for (std::size_t at = 0; at < from.size(); ++at)
                                      aside[at] = ::fcntl(from[at], F_DUPFD, 50);
                                  for (std::size_t at = 0; at < from.size(); ++at)
                                      ::dup2(aside[at], static_cast<int>(at) + 3);
                              }});
        parent_ = Peer(std::move(pair->first));
        const auto ready = parent_.hear<ipc::FilesReply>();
        ASSERT_TRUE(ready && ready->message.has_files_ready());
        clerk_ = start_clerk();
    }
    Peer start_clerk() {
        ipc::FilesRequest request;
        request.mutable_new_clerk();
        parent_.say(request);
        auto started = parent_.hear<ipc::FilesReply>();
        if (!started || started->fds.size() != 1) throw std::runtime_error("no clerk");
        return Peer(std::move(started->fds[0]));
    }
    std::optional<Heard<ipc::FileReport>> open(const std::string& path, Mode::Mode mode) {
        ipc::FileOrder order;
        order.mutable_open()->set_path(path);
        order.mutable_open()->set_mode(mode);
        clerk_.say(order);
        return clerk_.hear<ipc::FileReport>();
    }
    /// Checks that no file comes, and that the refusal is the policy's.
    void expect_refused(const std::string& path, Mode::Mode mode = Mode::READ) {
        const auto heard = open(path, mode);
        ASSERT_TRUE(heard) << path << " ended the clerk";
        EXPECT_TRUE(heard->message.has_failed()) << path;
        EXPECT_EQ(heard->message.failed().sys_errno(), 0) << path;
        EXPECT_TRUE(heard->fds.empty()) << path;
    }
    UniqueFd opened(const std::string& path, Mode::Mode mode) {
        auto heard = open(path, mode);
        if (!heard || heard->fds.size() != 1) throw std::runtime_error("not opened: " + path);
        return std::move(heard->fds[0]);
    }
    /// The clerk ends; others go on.
    void expect_clerk_ends() {
        EXPECT_TRUE(clerk_.has_ended());
        const auto said = parent_.hear<ipc::FilesReply>();
        EXPECT_TRUE(said && said->message.has_clerk_ended());
        clerk_ = start_clerk();
        EXPECT_TRUE(opened(path("read/file"), Mode::READ).is_open());
    }
    void expect_hand_ends() {
        EXPECT_FALSE(parent_.hear<ipc::FilesReply>());
        EXPECT_EQ(hand_->wait(), 1);
        EXPECT_TRUE(clerk_.has_ended()) << "clerks die with their parent";
    }
    [[nodiscard]] std::string path(const std::string& name) const { return scratch_.path(name); }

    static constexpr std::int64_t kHour = 3600;
    static constexpr std::int64_t kAhead = 10 * kHour;
    std::int64_t ahead_s_;  // of the clock, the latest time that an earlier agent has seen
    Scratch scratch_;
    std::optional<Child> hand_;
    Peer parent_;
    Peer clerk_;
    std::map<std::string, std::string> before_;
};

TEST_F(CompromisedBroker, IsServedByNoClerkThatCouldNotConfineItself) {
    ipc::FilesRequest request;
    request.mutable_new_clerk();
    ASSERT_TRUE(refuse_filter_of_next_child(hand_->pid(), [&] { parent_.say(request); }));
    auto started = parent_.hear<ipc::FilesReply>();
    ASSERT_TRUE(started && started->fds.size() == 1);
    EXPECT_TRUE(Peer(std::move(started->fds[0])).has_ended());
    const auto said = parent_.hear<ipc::FilesReply>();
    EXPECT_TRUE(said && said->message.has_clerk_ended());
}

TEST_F(CompromisedBroker, GetsWhatThePolicyAllows) {
    const UniqueFd file = opened(path("read/file"), Mode::READ);
    std::array<char, 16> text{};
    EXPECT_EQ(::pread(file.get(), text.data(), text.size(), 0), 8);
    EXPECT_LT(::write(file.get(), "x", 1), 0) << "and no more of it";
}

TEST_F(CompromisedBroker, GetsNothingThatThePolicyDoesNotAllow) {
    expect_refused(path("outside/file"));
    expect_refused(path("read/keys/key"));
    expect_refused(path("read/keys/none"));
    expect_refused(path("read/link"));
    expect_refused(path("read/fifo"));
    expect_refused(path("own/file"));
    expect_refused("/etc/shadow");
    expect_refused("/");
}

TEST_F(CompromisedBroker, GetsNothingOutsideTheHoursOfARule) {
    EXPECT_TRUE(opened(path("now/file"), Mode::READ).is_open());
    EXPECT_TRUE(opened(path("always/file"), Mode::READ).is_open());
    expect_refused(path("later/file"));
}

class CompromisedBrokerBesideAClockThatWasSetBack : public CompromisedBroker {
protected:
    CompromisedBrokerBesideAClockThatWasSetBack() : CompromisedBroker(kAhead) {}
};

TEST_F(CompromisedBrokerBesideAClockThatWasSetBack, GetsNothingThatIsInItsHoursByOneTimeAlone) {
    expect_refused(path("now/file"));
    expect_refused(path("later/file"));
    expect_refused(path("always/file"));
    EXPECT_TRUE(opened(path("read/file"), Mode::READ).is_open());
}

TEST_F(CompromisedBroker, GetsNoFileOfAProcess) {
    for (const std::string& who :
         {std::string("self"), std::string("thread-self"), std::string("1"), std::to_string(hand_->pid())})
        for (const std::string file : {"mem", "environ", "fd/3", "root/etc/shadow"})
            expect_refused("/proc/" + who + "/" + file);
}

TEST_F(CompromisedBroker, GetsNoModeThatThePolicyDoesNotAllow) {
    for (const auto mode : {Mode::WRITE, Mode::APPEND, Mode::UPDATE, Mode::RENEW, Mode::EXTEND})
        expect_refused(path("read/file"), mode);
    expect_refused(path("work/new"), Mode::WRITE);
}

TEST_F(CompromisedBroker, EndsTheClerkByAnOpenOfNoPathOrInNoMode) {
    for (const char* bad : {"", "relative", "/a//b", "/a/../b", "/a/", "/a/./b"}) {
        ipc::FileOrder order;
        order.mutable_open()->set_path(bad);
        order.mutable_open()->set_mode(Mode::READ);
        clerk_.say(order);
        expect_clerk_ends();
    }
    ipc::FileOrder order;
    order.mutable_open()->set_path(path("read/file"));
    for (const int mode : {0, 7, -1}) {
        order.mutable_open()->set_mode(static_cast<Mode::Mode>(mode));
        clerk_.say(order);
        expect_clerk_ends();
    }
}

TEST_F(CompromisedBroker, EndsTheClerkByFramesThatAreNone) {
    for (const std::string& bytes :
         {std::string("x"), std::string(kMaxFrame, '\xff'), std::string("\x0a\x00\x0a\x00", 4)}) {
        clerk_.say_bytes(bytes);
        expect_clerk_ends();
    }
    clerk_.say(ipc::FileOrder(), {});
    clerk_.say_bytes("\x2a\x01");
    expect_clerk_ends();
}

TEST_F(CompromisedBroker, EndsTheClerkByDescriptorsThatDoNotBelong) {
    const UniqueFd null(::open("/dev/null", O_RDWR | O_CLOEXEC));
    const UniqueFd file = opened(path("read/file"), Mode::READ);
    ipc::FileOrder open;
    open.mutable_open()->set_path(path("read/file"));
    open.mutable_open()->set_mode(Mode::READ);
    clerk_.say(open, {null.get()});
    expect_clerk_ends();
    ipc::FileOrder close;
    close.mutable_close();
    clerk_.say(close);
    expect_clerk_ends();
    clerk_.say(close, {null.get(), null.get()});
    expect_clerk_ends();
    ipc::FileOrder arena;
    arena.mutable_arena();
    clerk_.say(arena, {null.get()});
    expect_clerk_ends();
    clerk_.say(arena, {file.get()});
    expect_clerk_ends();
    ipc::FileOrder seek;
    seek.mutable_seek();
    clerk_.say(seek);
    expect_clerk_ends();
}

class WithArena : public CompromisedBroker {
protected:
    void give_arena() {
        ipc::FileOrder order;
        order.mutable_arena();
        clerk_.say(order, {arena_->fd().get()});
    }
    ipc::FileOrder move(bool is_read, std::uint32_t offset, std::uint32_t size) const {
        ipc::FileOrder order;
        ipc::MoveOrder& what = is_read ? *order.mutable_read() : *order.mutable_write();
        what.set_offset(offset);
        what.set_size(size);
        what.set_place(0);
        return order;
    }
    Result<ipc::Arena> arena_ = ipc::Arena::create();
};

TEST_F(WithArena, EndsTheClerkByPartsOutsideTheArena) {
    const UniqueFd file = opened(path("read/file"), Mode::READ);
    clerk_.say(move(true, 0, 8), {file.get()});
    expect_clerk_ends();  // without an arena
    struct Extent {
        std::uint32_t offset;
        std::uint32_t size;
    };
    for (const auto& [offset, size] :
         {Extent{0, 0}, Extent{kArenaData, 1}, Extent{1, kArenaData}, Extent{~0U, ~0U}}) {
        give_arena();
        clerk_.say(move(true, offset, size), {file.get()});
        expect_clerk_ends();
    }
}

TEST_F(WithArena, CannotHaveAClerkReadOrWriteAnythingButAFile) {
    const UniqueFd null(::open("/dev/null", O_RDWR | O_CLOEXEC));
    std::array<int, 2> pipe{};
    ASSERT_EQ(::pipe2(pipe.data(), O_CLOEXEC), 0);
    const UniqueFd reads(pipe[0]);
    const UniqueFd writes(pipe[1]);
    for (const int fd : {null.get(), reads.get(), writes.get()}) {
        give_arena();
        clerk_.say(move(fd == reads.get(), 0, 8), {fd});
        expect_clerk_ends();
    }
}

// What waits when it is read or closed is no file that the hand gives away.
TEST_F(WithArena, CannotHaveAClerkReadAFileOfAFileSystemThatTheHandDoesNotKnow) {
    for (const char* name : {"/proc/version", "/sys/kernel/notes"}) {
        const UniqueFd file(::open(name, O_RDONLY | O_CLOEXEC));
        struct stat what{};
        ASSERT_TRUE(::fstat(file.get(), &what) == 0 && S_ISREG(what.st_mode)) << name;
        give_arena();
        clerk_.say(move(true, 0, 8), {file.get()});
        expect_clerk_ends();
    }
}

TEST_F(WithArena, CannotHaveAFileWrittenThatWasOpenedToBeRead) {
    const UniqueFd file = opened(path("read/file"), Mode::READ);
    give_arena();
    clerk_.say(move(false, 0, 8), {file.get()});
    const auto heard = clerk_.hear<ipc::FileReport>();
    ASSERT_TRUE(heard);
    EXPECT_EQ(heard->message.moved().sys_errno(), EBADF);
    EXPECT_EQ(heard->message.moved().size(), 0U);
}

TEST_F(CompromisedBroker, CannotHaveMoreClerksThanThereMayBe) {
    std::vector<Peer> clerks;
    for (std::size_t at = 1; at < kMaxClerks; ++at) clerks.push_back(start_clerk());
    ipc::FilesRequest request;
    request.mutable_new_clerk();
    for (int times = 0; times < 3; ++times) {
        parent_.say(request);
        const auto said = parent_.hear<ipc::FilesReply>();
        ASSERT_TRUE(said);
        EXPECT_EQ(said->message.clerk_not_started().sys_errno(), EAGAIN);
        EXPECT_TRUE(said->fds.empty());
        EXPECT_EQ(children_of(hand_->pid()).size(), kMaxClerks);
    }
    EXPECT_TRUE(opened(path("read/file"), Mode::READ).is_open()) << "the others go on";
    clerks.pop_back();
    const auto ended = parent_.hear<ipc::FilesReply>();
    ASSERT_TRUE(ended && ended->message.has_clerk_ended());
    clerks.push_back(start_clerk());
    EXPECT_EQ(children_of(hand_->pid()).size(), kMaxClerks);
}

TEST_F(CompromisedBroker, LetsAClerkGoByClosingItsSocketAndTheOthersGoOn) {
    Peer other = std::exchange(clerk_, start_clerk());
    clerk_ = Peer();
    const auto said = parent_.hear<ipc::FilesReply>();
    ASSERT_TRUE(said);
    EXPECT_EQ(said->message.clerk_ended().clerk(), 2U);
    clerk_ = std::move(other);
    EXPECT_TRUE(opened(path("read/file"), Mode::READ).is_open());
}

TEST_F(CompromisedBroker, CannotHaveAnythingKilledButClerks) {
    ipc::FilesRequest request;
    request.mutable_kill_clerk()->set_clerk(1);
    parent_.say(request);
    const auto said = parent_.hear<ipc::FilesReply>();
    ASSERT_TRUE(said);
    EXPECT_EQ(said->message.clerk_ended().clerk(), 1U);
    parent_.say(request);  // it was a clerk's number once
    clerk_ = start_clerk();
    EXPECT_TRUE(opened(path("read/file"), Mode::READ).is_open());
    request.mutable_kill_clerk()->set_clerk(3);
    parent_.say(request);
    expect_hand_ends();
}

TEST_F(CompromisedBroker, EndsTheHandByFramesThatAreNone) {
    parent_.say_bytes("x");
    expect_hand_ends();
}

TEST_F(CompromisedBroker, WhoDiesTakesTheHandWithHim) {
    parent_ = Peer();
    EXPECT_EQ(hand_->wait(), 0);
    EXPECT_TRUE(clerk_.has_ended());
}

}  // namespace
}  // namespace sallyport::test
