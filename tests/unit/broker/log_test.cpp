// The log on disk: chain, files, and what is left when a process is killed in the middle.
#include "broker/recorder/log.hpp"

#include <gtest/gtest.h>
#include <sha2.h>
#include <sys/file.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <csignal>
#include <sstream>
#include <vector>

#include "scratch.hpp"

namespace {
bool log_is_a_mount = false;
}  // namespace

// In front of the C library's: the file that is being written cannot be renamed, as one that is append-only, or a mount.
extern "C" int renameat(int from, const char* name, int to, const char* new_name) noexcept {
    if (log_is_a_mount && std::string_view(name) == "audit.jsonl") {
        errno = EBUSY;
        return -1;
    }
    return static_cast<int>(::syscall(SYS_renameat, from, name, to, new_name));
}

namespace sallyport::recorder {
namespace {

using broker::ScratchDirectory;

std::string sha256(const std::string& text) {
    std::array<char, SHA256_DIGEST_STRING_LENGTH> digest{};
    ::SHA256Data(reinterpret_cast<const std::uint8_t*>(text.data()), text.size(), digest.data());
    return digest.data();
}

std::vector<std::string> lines(const std::string& text) {
    std::istringstream stream(text);
    std::vector<std::string> all;
    for (std::string line; std::getline(stream, line);) all.push_back(line);
    return all;
}

std::string previous_hash(const std::string& line) {
    return line.substr(line.find("\"prev\":\"") + 8, 64);
}

void expect_chain(const std::vector<std::string>& all) {
    for (std::size_t at = 1; at < all.size(); ++at)
        ASSERT_EQ(previous_hash(all[at]), sha256(all[at - 1])) << at << ": " << all[at];
}

class LogOnDisk : public testing::Test {
protected:
    LogOnDisk() : ring_(*ipc::Ring::create()) {}
    Result<Log> open(Rotation rotation = {}) { return Log::open(scratch_.fd(), rotation); }
    void write_all(Log& log) {
        for (;;) {
            const auto more = log.write_some(ring_);
            ASSERT_TRUE(more) << more.error().what;
            if (!*more) return;
        }
    }
    std::vector<std::string> of(const std::string& name) { return lines(scratch_.read(name)); }
    // A process is killed in the middle of a write, which the limit of a file's size stands for here: the first part of the
    // batch is in the file, and whoever goes on knows only what is in the memory that they share.
    void write_part_of_a_batch(Log& log) {
        const pid_t writer = ::fork();
        if (writer == 0) {
            const rlimit little{.rlim_cur = 1234, .rlim_max = 1234};
            ::signal(SIGXFSZ, SIG_IGN);
            ::setrlimit(RLIMIT_FSIZE, &little);
            const auto written = log.write_some(ring_);
            ::_exit(!written && written.error().sys_errno == EFBIG ? 0 : 1);
        }
        int status = 0;
        ASSERT_EQ(::waitpid(writer, &status, 0), writer);
        ASSERT_EQ(status, 0);
        ASSERT_EQ(scratch_.read("audit.jsonl").size(), 1234U);
    }
    // Goes on in another process, which is killed when its first write has been done and before it knows.
    void write_and_be_killed(Log& log) {
        const pid_t writer = ::fork();
        if (writer == 0) {
            ::ptrace(PTRACE_TRACEME, 0, nullptr, nullptr);
            ::raise(SIGSTOP);
            ::_exit(log.write_some(ring_) ? 0 : 1);
        }
        int status = 0;
        bool writes = false;
        while (::waitpid(writer, &status, 0) == writer && WIFSTOPPED(status)) {
            ::ptrace(PTRACE_SETOPTIONS, writer, nullptr, PTRACE_O_TRACESYSGOOD | PTRACE_O_EXITKILL);
            __ptrace_syscall_info info{};
            ::ptrace(PTRACE_GET_SYSCALL_INFO, writer, sizeof info, &info);
            if (writes && info.op == PTRACE_SYSCALL_INFO_EXIT) ::kill(writer, SIGKILL);
            if (info.op == PTRACE_SYSCALL_INFO_ENTRY) writes = info.entry.nr == SYS_write;
            ::ptrace(PTRACE_SYSCALL, writer, nullptr, nullptr);
        }
        ASSERT_TRUE(WIFSIGNALED(status));
    }
    ScratchDirectory scratch_;
    ipc::Ring ring_;
};

TEST_F(LogOnDisk, TheFirstLineFollowsZerosAndEachLineTheHashOfTheOneBefore) {
    auto log = open();
    ASSERT_TRUE(log);
    for (int at = 0; at < 3; ++at) ring_.put("{\"seq\":" + std::to_string(at) + "}");
    write_all(*log);
    const auto all = of("audit.jsonl");
    ASSERT_EQ(all.size(), 3U);
    EXPECT_EQ(previous_hash(all[0]), std::string(64, '0'));
    expect_chain(all);
    EXPECT_EQ(ring_.words().taken, ring_.words().put);
}

TEST_F(LogOnDisk, ARestartGoesOnWithTheChain) {
    for (const char* line : {"{\"before\":1}", "{\"after\":1}"}) {
        ipc::Ring ring = *ipc::Ring::create();
        auto log = open();
        ASSERT_TRUE(log);
        ring.put(line);
        EXPECT_TRUE(log->write_some(ring).value_or(false));
    }
    EXPECT_EQ(of("audit.jsonl").size(), 2U);
    expect_chain(of("audit.jsonl"));
}

TEST_F(LogOnDisk, ALineCutOffByACrashIsEndedAndStaysInTheChain) {
    scratch_.write("audit.jsonl", "{\"whole\":1}\n{\"cut o");
    auto log = open();
    ASSERT_TRUE(log);
    ring_.put("{\"after\":1}");
    write_all(*log);
    const auto all = of("audit.jsonl");
    ASSERT_EQ(all.size(), 3U);
    EXPECT_EQ(all[1], "{\"cut o");
    EXPECT_EQ(previous_hash(all[2]), sha256("{\"cut o"));
}

TEST_F(LogOnDisk, ARotationThatIsTriedAgainDrivesNoFileOut) {
    constexpr Rotation kRotation{.max_size = kMinLogSize, .keep = 4};
    for (const char* number : {".1", ".2", ".3", ".4"})
        scratch_.write(std::string("audit.jsonl") + number, number);
    auto log = open(kRotation);
    ASSERT_TRUE(log);
    const std::string line = "{\"seq\":\"" + std::string(4000, 'x') + "\"}";
    const auto fill = [&] {
        while (ring_.put(line))
            if (!log->write_some(ring_)) return false;
        return true;
    };
    log_is_a_mount = true;
    EXPECT_FALSE(fill()) << "the rotation fails";
    for (int again = 0; again < 5; ++again) EXPECT_FALSE(log->write_some(ring_));
    log_is_a_mount = false;
    EXPECT_EQ(scratch_.read("audit.jsonl.2"), ".1");
    EXPECT_EQ(scratch_.read("audit.jsonl.3"), ".2");
    EXPECT_EQ(scratch_.read("audit.jsonl.4"), ".3");
    write_all(*log);
    EXPECT_FALSE(of("audit.jsonl.1").empty());
    EXPECT_EQ(scratch_.read("audit.jsonl.4"), ".3");
}

TEST_F(LogOnDisk, IsRotatedBySizeAndTheChainGoesOnOverTheFiles) {
    auto log = open({.max_size = kMinLogSize, .keep = 2});
    ASSERT_TRUE(log);
    for (int at = 0; at < 4000; ++at) {
        ring_.put("{\"seq\":" + std::to_string(at) + ",\"x\":\"" + std::string(200, 'x') + "\"}");
        write_all(*log);
    }
    EXPECT_FALSE(std::filesystem::exists(scratch_.path() / "audit.jsonl.3"));
    std::vector<std::string> all;
    for (const char* name : {"audit.jsonl.2", "audit.jsonl.1", "audit.jsonl"}) {
        EXPECT_LE(std::filesystem::file_size(scratch_.path() / name), kMinLogSize) << name;
        for (const std::string& line : of(name)) all.push_back(line);
    }
    expect_chain(all);
    EXPECT_EQ(of("audit.jsonl.1").back().find("{\"verdict\":\"note\",\"what\":\"log-closed\""), 0U);
    EXPECT_NE(of("audit.jsonl").back().find("\"seq\":3999"), std::string::npos);
}

TEST_F(LogOnDisk, GoesOnInANewFileWhenItWasRenamedAndAskedToLook) {
    auto log = open();
    ASSERT_TRUE(log);
    ring_.put("{\"before\":1}");
    write_all(*log);
    std::filesystem::rename(scratch_.path() / "audit.jsonl", scratch_.path() / "old");
    ring_.put("{\"still-there\":1}");
    write_all(*log);
    EXPECT_TRUE(log->reopen());
    ring_.put("{\"after\":1}");
    write_all(*log);
    auto all = of("old");
    EXPECT_EQ(all.size(), 3U);
    for (const std::string& line : of("audit.jsonl")) all.push_back(line);
    EXPECT_EQ(all.size(), 4U);
    expect_chain(all);
}

TEST_F(LogOnDisk, StaysInItsFileWhenNobodyRenamedIt) {
    auto log = open();
    ASSERT_TRUE(log);
    ring_.put("{\"before\":1}");
    write_all(*log);
    EXPECT_TRUE(log->reopen());
    EXPECT_EQ(of("audit.jsonl").size(), 1U);
}

TEST_F(LogOnDisk, GoesOnAtTheBeginningOfAFileThatWasCopiedAndTruncated) {
    auto log = open();
    ASSERT_TRUE(log);
    ring_.put("{\"before\":1}");
    write_all(*log);
    auto all = of("audit.jsonl");
    ASSERT_EQ(::truncate((scratch_.path() / "audit.jsonl").c_str(), 0), 0);
    ring_.put("{\"after\":1}");
    write_all(*log);
    EXPECT_EQ(scratch_.read("audit.jsonl").front(), '{') << "no hole";
    for (const std::string& line : of("audit.jsonl")) all.push_back(line);
    EXPECT_EQ(all.size(), 2U);
    expect_chain(all);
}

constexpr const char* kRemovedLine = R"({"verdict":"note","what":"log-removed")";

TEST_F(LogOnDisk, GoesOnInANewFileWhenItWasRemovedAndItsFirstLineSaysSo) {
    auto log = open();
    ASSERT_TRUE(log);
    ring_.put("{\"before\":1}");
    write_all(*log);
    const auto before = of("audit.jsonl");
    std::filesystem::remove(scratch_.path() / "audit.jsonl");
    for (const char* line : {"{\"after\":1}", "{\"after\":2}"}) {
        ring_.put(line);
        write_all(*log);
    }
    const auto all = of("audit.jsonl");
    ASSERT_EQ(all.size(), 3U);
    EXPECT_EQ(all[0].find(kRemovedLine), 0U) << all[0];
    EXPECT_EQ(previous_hash(all[0]), sha256(before.at(0))) << "what is missing shows";
    expect_chain(all);
    EXPECT_TRUE(log->sync());
}

TEST_F(LogOnDisk, IsNotSaidToBeOnTheDiskWhileAnotherFileHasItsName) {
    auto log = open();
    ASSERT_TRUE(log);
    ring_.put("{\"before\":1}");
    write_all(*log);
    EXPECT_TRUE(log->sync());
    std::filesystem::rename(scratch_.path() / "audit.jsonl", scratch_.path() / "old");
    EXPECT_FALSE(log->sync());
    scratch_.write("audit.jsonl", "");
    EXPECT_FALSE(log->sync());
}

TEST_F(LogOnDisk, ThatWasRemovedIsReplacedAlsoWhenAskedToLook) {
    auto log = open();
    ASSERT_TRUE(log);
    ring_.put("{\"before\":1}");
    write_all(*log);
    std::filesystem::remove(scratch_.path() / "audit.jsonl");
    EXPECT_TRUE(log->reopen());
    ASSERT_EQ(of("audit.jsonl").size(), 1U);
    EXPECT_EQ(of("audit.jsonl")[0].find(kRemovedLine), 0U);
}

TEST_F(LogOnDisk, WhoseDirectoryWasRemovedIsAnErrorAndNothingIsTakenForWritten) {
    auto log = open();
    ASSERT_TRUE(log);
    std::filesystem::remove_all(scratch_.path());
    ring_.put("{\"after\":1}");
    for (int tries = 0; tries < 2; ++tries) {
        const auto written = log->write_some(ring_);
        ASSERT_FALSE(written);
        EXPECT_EQ(written.error().sys_errno, ENOENT);
    }
    EXPECT_EQ(ring_.words().taken, 0U);
}

// Whoever may read the directory may lock it.
TEST_F(LogOnDisk, IsLockedByAFileThatOnlyItsOwnerCanOpen) {
    const UniqueFd lock(::fcntl(scratch_.fd().get(), F_DUPFD_CLOEXEC, 3));
    ASSERT_EQ(::flock(lock.get(), LOCK_EX | LOCK_NB), 0);
    const auto log = open();
    ASSERT_TRUE(log) << log.error().what;
    struct stat info{};
    ASSERT_EQ(::stat((scratch_.path() / "audit.lock").c_str(), &info), 0);
    EXPECT_EQ(info.st_mode & 07777U, 0600U);
    const UniqueFd other(::open((scratch_.path() / "audit.lock").c_str(), O_RDWR | O_CLOEXEC));
    EXPECT_EQ(::flock(other.get(), LOCK_EX | LOCK_NB), -1) << "two may write at once";
}

TEST_F(LogOnDisk, IsLockedByAFileThatIsClosedToOthersIfTheyCouldOpenIt) {
    scratch_.write("audit.lock", "");
    const auto lock = scratch_.path() / "audit.lock";
    std::filesystem::permissions(lock, std::filesystem::perms{0644});
    ASSERT_TRUE(open());
    EXPECT_EQ(std::filesystem::status(lock).permissions(), std::filesystem::perms{0600});
}

TEST_F(LogOnDisk, OfAnotherRecorderTakesNothingUntilThatHasEndedAndGoesOnBehindItsLastLine) {
    ipc::Ring ring_before = *ipc::Ring::create();
    auto before = open();
    ASSERT_TRUE(before && before->is_ours());
    auto log = open();
    ASSERT_TRUE(log);
    EXPECT_FALSE(log->is_ours());
    ring_.words().is_waiting = 1;
    ring_.put("{\"after\":1}");
    for (int tries = 0; tries < 2; ++tries) {
        const auto written = log->write_some(ring_);
        ASSERT_FALSE(written);
        EXPECT_EQ(written.error().code, Errc::kLimit);
        EXPECT_TRUE(log->take_over()) << "the other process goes on, and finds the same";
    }
    EXPECT_EQ(ring_.words().taken, 0U);
    EXPECT_EQ(ring_.words().is_waiting, 1U);
    ring_before.put("{\"before\":1}");
    EXPECT_TRUE(before->write_some(ring_before).value_or(false));
    before = failure(Errc::kClosed, "it has ended");
    write_all(*log);
    EXPECT_TRUE(log->is_ours());
    EXPECT_EQ(ring_.words().is_waiting, 0U);
    EXPECT_EQ(of("audit.jsonl").size(), 2U);
    expect_chain(of("audit.jsonl"));
}

TEST_F(LogOnDisk, AnEmptyFileGoesOnWithTheChainOfTheOneBefore) {
    scratch_.write("audit.jsonl.1", "{\"last\":1}\n");
    auto log = open();
    ASSERT_TRUE(log);
    ring_.put("{\"after\":1}");
    write_all(*log);
    EXPECT_EQ(previous_hash(of("audit.jsonl").at(0)), sha256("{\"last\":1}"));
}

TEST_F(LogOnDisk, ThatIsNotARegularFileIsRefused) {
    ASSERT_EQ(::mkfifo((scratch_.path() / "audit.jsonl").c_str(), 0600), 0);
    EXPECT_FALSE(open());
    std::filesystem::remove(scratch_.path() / "audit.jsonl");
    ASSERT_EQ(::mknod((scratch_.path() / "audit.jsonl").c_str(), S_IFCHR | 0600, ::makedev(1, 3)), 0);
    EXPECT_FALSE(open()) << "/dev/null takes everything";
}

TEST_F(LogOnDisk, BehindASymbolicLinkIsRefused) {
    std::filesystem::create_symlink("elsewhere", scratch_.path() / "audit.jsonl");
    EXPECT_FALSE(open());
    EXPECT_FALSE(std::filesystem::exists(scratch_.path() / "elsewhere"));
}

TEST_F(LogOnDisk, TextThatIsNoObjectOfPrintableAsciiIsRefusedAndNotWritten) {
    for (const char* text :
         {"{}", "no object", "{\"a\":1}\n{\"b\":2}", "{\"\x1b[2J\":1}", "{\"\xc3\xa9\":1}", "{"}) {
        ipc::Ring ring = *ipc::Ring::create();
        auto log = open();
        ASSERT_TRUE(log);
        ring.put(text);
        const auto written = log->write_some(ring);
        ASSERT_FALSE(written) << text;
        EXPECT_EQ(written.error().code, Errc::kInvalid);
    }
    EXPECT_EQ(scratch_.read("audit.jsonl"), "");
}

TEST_F(LogOnDisk, WhoGoesOnAfterAWriteThatNobodyLivedToNoteWritesNothingTwice) {
    auto log = open();
    ASSERT_TRUE(log);
    for (int at = 0; at < 50; ++at) ring_.put("{\"seq\":" + std::to_string(at) + "}");
    write_and_be_killed(*log);
    EXPECT_EQ(of("audit.jsonl").size(), 50U);
    EXPECT_EQ(ring_.words().taken, 0U);
    ASSERT_TRUE(log->take_over());
    write_all(*log);
    EXPECT_EQ(of("audit.jsonl").size(), 50U);
    EXPECT_EQ(ring_.words().taken, ring_.words().put);
    expect_chain(of("audit.jsonl"));
}

// The same, and the file is removed before somebody goes on: the batch is written anew, as a whole.
TEST_F(LogOnDisk, WhoGoesOnAfterTheFileWasRemovedBeginsTheBatchAnew) {
    auto log = open();
    ASSERT_TRUE(log);
    for (int at = 0; at < 50; ++at) ring_.put("{\"seq\":" + std::to_string(at) + "}");
    write_part_of_a_batch(*log);
    std::filesystem::remove(scratch_.path() / "audit.jsonl");
    ASSERT_TRUE(log->take_over());
    write_all(*log);
    EXPECT_EQ(of("audit.jsonl").size(), 50U);
    expect_chain(of("audit.jsonl"));
}

TEST_F(LogOnDisk, WhoGoesOnWritesTheRestOfABatchAndNothingTwice) {
    auto log = open();
    ASSERT_TRUE(log);
    for (int at = 0; at < 50; ++at) ring_.put("{\"seq\":" + std::to_string(at) + "}");
    ring_.put("{\"long\":\"" + std::string(2000, 'x') + "\"}");
    write_part_of_a_batch(*log);
    EXPECT_EQ(ring_.words().taken, 0U) << "what is not whole in the file is not taken";
    ASSERT_TRUE(log->take_over());
    write_all(*log);
    const auto all = of("audit.jsonl");
    EXPECT_EQ(all.size(), 51U);
    expect_chain(all);
}

}  // namespace
}  // namespace sallyport::recorder
