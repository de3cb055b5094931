// Guard, recorder, files hand, broker and policy compiler as wholes.
#include "sandbox/lockdown.hpp"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <linux/capability.h>
#include <linux/openat2.h>
#include <linux/sched.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <cstdint>
#include <functional>
#include <memory>
#include <stdexcept>
#include <string>
#include <vector>

#include "sandbox/proof.hpp"
#include "sandbox/steps.hpp"
#include "sandbox/syscalls.hpp"
#include "tests/sandbox/confined.hpp"

namespace sallyport::sandbox::testing {
namespace {

constexpr std::uint64_t bit(unsigned capability) {
    return std::uint64_t{1} << capability;
}

TEST(FilesCapabilities, FollowFromThePolicy) {
    const auto held = [](const FilesNeeds& needs) {
        std::uint64_t all = 0;
        for (const KeptCapability& one : files_capabilities(needs))
            all |= bit(static_cast<unsigned>(one.capability));
        return all;
    };
    EXPECT_EQ(held({}), 0U);
    EXPECT_EQ(held({.others_files = true}), 0U);
    EXPECT_EQ(held({.reads_files = true, .writes_files = true, .creates_files = true}), 0U);
    EXPECT_EQ(held({.reads_files = true, .others_files = true}), bit(CAP_DAC_READ_SEARCH));
    EXPECT_EQ(held({.others_directories = true}), 0U);
    EXPECT_EQ(held({.reads_files = true, .writes_files = true, .others_directories = true}),
              bit(CAP_DAC_READ_SEARCH));
    EXPECT_EQ(held({.writes_files = true, .others_files = true}),
              bit(CAP_DAC_READ_SEARCH) | bit(CAP_DAC_OVERRIDE));
    EXPECT_EQ(held({.creates_files = true, .others_files = true}),
              bit(CAP_DAC_READ_SEARCH) | bit(CAP_DAC_OVERRIDE));
}

// What the guard can do once it is locked down, and cannot.
class Guard : public ::testing::Test {
protected:
    static Ended run(const std::function<int(const UniqueFd& status)>& body) {
        return in_child([&] {
            const UniqueFd status(::open("/proc/self/status", O_RDONLY | O_CLOEXEC));
            const UniqueFd root(::open("/", O_PATH | O_DIRECTORY | O_CLOEXEC));
            const UniqueFd sys(::open("/sys", O_PATH | O_DIRECTORY | O_CLOEXEC));
            if (const int failed = report(lockdown_guard(root, sys)); failed != 0) return failed;
            return body(status);
        });
    }

    const Filter filter_ = *filter_of_planners();
};

TEST_F(Guard, HoldsTwoCapabilitiesAndNoOther) {
    // Asked for before: the guard's filter does not let it ask.
    Expected expected{.uid = ::geteuid(), .gid = ::getegid()};
    EXPECT_TRUE(run([&](const UniqueFd& status) {
                    const auto held = read_credentials(status);
                    if (!held) return 20;
                    expected.capabilities = bit(CAP_SYS_ADMIN) | bit(CAP_DAC_READ_SEARCH);
                    return report(compare(expected, *held));
                }).exited());
}

TEST_F(Guard, OpensDirectoriesAndWhatSysSaysAndNoFileElsewhere) {
    EXPECT_TRUE(run([](const UniqueFd&) {
                    const UniqueFd directory(::open("/etc", O_RDONLY | O_DIRECTORY | O_CLOEXEC));
                    const UniqueFd sys(::open("/sys/kernel/uevent_seqnum", O_RDONLY | O_CLOEXEC));
                    const UniqueFd file(::open("/etc/passwd", O_RDONLY | O_CLOEXEC));
                    return directory.is_open() && sys.is_open() && !file.is_open() && errno == EACCES ? 0
                                                                                                      : 21;
                }).exited());
}

TEST_F(Guard, CannotOpenAnythingToBeWritten) {
    EXPECT_TRUE(run([](const UniqueFd&) {
                    return ::open("/dev/null", O_WRONLY | O_CLOEXEC) < 0 ? 22 : 23;
                }).killed_by_filter());
}

// The filter does not see how openat2() opens.
TEST_F(Guard, OpensNothingToBeWrittenByTheCallThatItsFilterCannotJudgeEither) {
    const Scratch scratch;
    scratch.file("file", "full");
    const auto opens = [&](const std::string& path, std::uint64_t flags) {
        open_how how{};
        how.flags = flags | O_CLOEXEC;
        how.mode = (flags & (O_CREAT | O_TMPFILE)) != 0 && (flags & O_ACCMODE) != O_RDONLY ? 0600 : 0;
        const Ended ended = run([&](const UniqueFd&) {
            if (::syscall(SYS_openat2, AT_FDCWD, path.c_str(), &how, sizeof how) >= 0) return 24;
            return errno == EACCES ? 25 : 26;
        });
        return ended.status;
    };
    const std::string file = scratch.path("file");
    for (const int flags : {O_WRONLY, O_RDWR, O_RDONLY | O_TRUNC, O_RDONLY})
        EXPECT_EQ(opens(file, static_cast<unsigned>(flags)), 25) << flags;
    EXPECT_EQ(opens("/dev/null", O_WRONLY), 25);
    EXPECT_EQ(opens(scratch.path("new"), O_WRONLY | O_CREAT), 25);
    EXPECT_EQ(opens(scratch.path(""), O_WRONLY | O_TMPFILE), 25);
    EXPECT_EQ(opens(scratch.path(""), O_RDONLY | O_DIRECTORY), 24);
    EXPECT_NE(::access(scratch.path("new").c_str(), F_OK), 0);
    struct stat info{};
    EXPECT_EQ(::stat(file.c_str(), &info), 0);
    EXPECT_EQ(info.st_size, 4);
}

TEST_F(Guard, HasAPlannerThatHoldsNoCapability) {
    const Expected expected{
        .uid = ::geteuid(), .gid = ::getegid(), .bounding_is_ours = true, .seccomp_filters = 2};
    EXPECT_TRUE(run([&](const UniqueFd& status) {
                    const UniqueFd sys(::open("/sys", O_PATH | O_DIRECTORY | O_CLOEXEC));
                    if (const int failed = report(lockdown_planner(sys, filter_)); failed != 0) return failed;
                    const auto held = read_credentials(status);
                    return held ? report(compare(expected, *held)) : 20;
                }).exited());
}

TEST_F(Guard, HasAPlannerThatReadsBelowSysAndOpensNothingElse) {
    EXPECT_TRUE(run([&](const UniqueFd&) {
                    const UniqueFd sys(::open("/sys", O_PATH | O_DIRECTORY | O_CLOEXEC));
                    if (const int failed = report(lockdown_planner(sys, filter_)); failed != 0) return failed;
                    const UniqueFd read(::open("/sys/kernel/uevent_seqnum", O_RDONLY | O_CLOEXEC));
                    const UniqueFd listed(::open("/sys/block", O_RDONLY | O_DIRECTORY | O_CLOEXEC));
                    if (!read.is_open() || !listed.is_open()) return 21;
                    for (const char* path : {"/", "/etc", "/etc/passwd", "/proc/self/mountinfo"})
                        if (UniqueFd(::open(path, O_RDONLY | O_CLOEXEC)).is_open() || errno != EACCES)
                            return 22;
                    return 0;
                }).exited());
}

// What the recorder can do once it is locked down, and cannot.
class RecorderProcess : public ::testing::Test {
protected:
    Ended run(const std::function<int()>& body) {
        scratch_.file("log/audit.jsonl", "");
        return in_child([&] {
            const UniqueFd directory(
                ::open(scratch_.path("log").c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
            if (const int failed = report(lockdown_recorder(directory)); failed != 0) return failed;
            return body();
        });
    }
    static UniqueFd to_append(const std::string& path) {
        return UniqueFd(::open(path.c_str(), O_RDWR | O_APPEND | O_CREAT | O_CLOEXEC, 0600));
    }
    Scratch scratch_;
    UniqueFd made_ = scratch_.directory("log");
};

TEST_F(RecorderProcess, AppendsToRenamesAndMakesFilesInItsDirectoryAndNowhereElse) {
    const std::string log = scratch_.path("log/audit.jsonl");
    EXPECT_TRUE(
        run([&] {
            const UniqueFd file = to_append(log);
            if (!file.is_open() || ::write(file.get(), "line\n", 5) != 5) return 20;
            if (::renameat(AT_FDCWD, log.c_str(), AT_FDCWD, scratch_.path("log/audit.jsonl.1").c_str()) != 0)
                return 21;
            if (!to_append(log).is_open()) return 22;
            const bool is_refused = !to_append(scratch_.path("beside")).is_open() && errno == EACCES &&
                                    ::open("/etc/passwd", O_RDONLY | O_CLOEXEC) < 0 && errno == EACCES;
            return is_refused ? 0 : 23;
        }).exited());
}

TEST_F(RecorderProcess, CannotCutOffWhatIsWritten) {
    const std::string log = scratch_.path("log/audit.jsonl");
    EXPECT_TRUE(run([&] { return ::ftruncate(to_append(log).get(), 0); }).killed_by_filter());
    EXPECT_TRUE(
        run([&] { return ::open(log.c_str(), O_RDWR | O_APPEND | O_TRUNC | O_CLOEXEC); }).killed_by_filter());
    EXPECT_TRUE(run([&] { return ::open(log.c_str(), O_RDWR | O_CLOEXEC); }).killed_by_filter());
    EXPECT_TRUE(
        run([&] { return ::pwrite(to_append(log).get(), "x", 1, 0) == 1 ? 0 : 1; }).killed_by_filter());
}

// Behind the filter nobody would see these.
TEST_F(RecorderProcess, IsRefusedByItsFileRulesAloneWhatItHasNoCallsFor) {
    const std::string log = scratch_.path("log/audit.jsonl");
    scratch_.file("log/audit.jsonl", "line");
    EXPECT_TRUE(in_child([&] {
                    const UniqueFd directory(
                        ::open(scratch_.path("log").c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
                    if (::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0) return 20;
                    if (const int failed = report(restrict_recorder(directory)); failed != 0) return failed;
                    const auto is_refused = [](int result) { return result != 0 && errno == EACCES; };
                    // Only since version 3 can cutting off be refused.
                    const long version = ::syscall(SYS_landlock_create_ruleset, nullptr, 0, 1);
                    if (version >= 3 && !is_refused(::truncate(log.c_str(), 0))) return 21;
                    const int at = directory.get();
                    if (!is_refused(::symlinkat("/etc", at, "link"))) return 22;
                    if (!is_refused(::mkdirat(at, "folder", 0700))) return 23;
                    for (const mode_t kind :
                         {mode_t{S_IFIFO}, mode_t{S_IFSOCK}, mode_t{S_IFCHR}, mode_t{S_IFBLK}})
                        if (!is_refused(::mknodat(at, "special", kind | 0600U, 0))) return 24;
                    return to_append(log).is_open() ? 0 : 25;
                }).exited());
}

// A scratch directory with the trees of a policy and a state directory, and the files hand locked down to them.
class Files : public ::testing::TestWithParam<bool> {
protected:
    const Filter filter_ = *filter_of_clerks({});

    void SetUp() override {
        for (const char* name : {"state", "read", "write", "create", "readable"}) {
            ASSERT_TRUE(scratch_.directory(name).is_open());
            scratch_.file(std::string(name) + "/file", "x");
            ASSERT_EQ(::chown(scratch_.path(name).c_str(), owner(), static_cast<gid_t>(-1)), 0);
            ASSERT_EQ(
                ::chown(scratch_.path(std::string(name) + "/file").c_str(), owner(), static_cast<gid_t>(-1)),
                0);
        }
    }

    // Runs `body` in a locked-down files hand; its status is the hand's.
    Ended run(const std::function<int(const UniqueFd& status)>& body, bool others_files = false) {
        const auto locked = [&] {
            const UniqueFd status(::open("/proc/self/status", O_RDONLY | O_CLOEXEC));
            const UniqueFd state = scratch_.directory("state");
            const UniqueFd read = scratch_.directory("read");
            const UniqueFd write = scratch_.directory("write");
            const UniqueFd create = scratch_.directory("create");
            const FilesNeeds needs{
                .reads_files = true,
                .writes_files = true,
                .creates_files = true,
                .others_files = others_files,
                .trees = {{.path = "read", .fd = read.get(), .read = true},
                          {.path = "write", .fd = write.get(), .read = true, .write = true},
                          {.path = "create", .fd = create.get(), .write = true, .create = true}},
            };
            return report(lockdown_files(needs, state)) != 0 ? 99 : body(status);
        };
        return GetParam() ? in_child_as_ordinary_user(locked) : in_child(locked);
    }

    // openat2() as the hand uses it: 0, or the error.
    int open_error(const std::string& name, std::uint64_t flags) const {
        const open_how how{
            .flags = flags | O_CLOEXEC, .mode = (flags & O_CREAT) != 0 ? 0600U : 0U, .resolve = 0};
        const UniqueFd file(static_cast<int>(
            ::syscall(SYS_openat2, AT_FDCWD, scratch_.path(name).c_str(), &how, sizeof how)));
        return file.is_open() ? 0 : errno;
    }

private:
    static uid_t owner() { return GetParam() && ::geteuid() == 0 ? kOrdinary : ::geteuid(); }
    Scratch scratch_;
};

INSTANTIATE_TEST_SUITE_P(, Files, ::testing::Bool(),
                         [](const auto& by) { return std::string(by.param ? "OfOrdinaryUser" : "OfRoot"); });

TEST_P(Files, HoldsWhatWasMeant) {
    const Ended ended = run(
        [](const UniqueFd& status) {
            const auto held = read_credentials(status);
            if (!held) return 1;
            const bool is_root = held->uid[1] == 0;
            const std::uint64_t kept = is_root ? bit(CAP_DAC_READ_SEARCH) | bit(CAP_DAC_OVERRIDE) : 0;
            return report(compare(
                {.uid = held->uid[0], .gid = held->gid[0], .capabilities = kept, .bounding_is_ours = is_root},
                *held));
        },
        true);
    EXPECT_TRUE(ended.exited()) << ended.code << " " << ended.status;
}

TEST_P(Files, HoldsNoCapabilityWithoutNeed) {
    const Ended ended = run([](const UniqueFd& status) {
        const auto held = read_credentials(status);
        return held && held->capabilities[1] == 0 && held->capabilities[2] == 0 && held->capabilities[4] == 0
                   ? 0
                   : 1;
    });
    EXPECT_TRUE(ended.exited()) << ended.code << " " << ended.status;
}

TEST_P(Files, OpensInItsTreesWhatTheyGrant) {
    const Ended ended = run([&](const UniqueFd&) {
        if (open_error("read/file", O_RDONLY) != 0) return 1;
        if (open_error("write/file", O_RDWR | O_TRUNC) != 0) return 2;
        if (open_error("create/new", O_WRONLY | O_CREAT | O_EXCL) != 0) return 3;
        return 0;
    });
    EXPECT_TRUE(ended.exited()) << ended.code << " " << ended.status;
}

TEST_P(Files, IsRefusedEverythingElse) {
    struct Case {
        const char* name;
        std::uint64_t flags;
    };
    static constexpr Case kCases[]{
        {"read/file", O_WRONLY},          {"read/file", O_RDWR},     {"read", O_RDONLY | O_DIRECTORY},
        {"read/new", O_WRONLY | O_CREAT}, {"create/file", O_RDONLY}, {"write/new", O_WRONLY | O_CREAT},
        {"readable/file", O_RDONLY},      {"state/file", O_RDONLY},  {"../../../../../etc/passwd", O_RDONLY},
    };
    const Ended ended = run([&](const UniqueFd&) {
        for (int at = 0; at < static_cast<int>(std::size(kCases)); ++at)
            if (open_error(kCases[at].name, kCases[at].flags) != EACCES) return at + 1;
        return 0;
    });
    EXPECT_TRUE(ended.exited()) << ended.code << " case " << ended.status;
}

TEST_P(Files, LeavesNoProbeBehindAndRefusesToGoOnWithoutProof) {
    EXPECT_TRUE(run([](const UniqueFd&) { return 0; }).exited());
    const auto without_directory = [] {
        const auto locked = lockdown_files({}, FdRef(-1));
        return !locked && locked.error().code == Errc::kProof ? 0 : 1;
    };
    EXPECT_TRUE(in_child(without_directory).exited());
}

TEST_P(Files, AClerkStartsNoProcess) {
    const Ended ended = run([&](const UniqueFd&) {
        if (report(lockdown_clerk(::getppid(), filter_)) != 0) return 1;
        ::syscall(SYS_clone, CLONE_PIDFD | SIGCHLD, nullptr, nullptr, nullptr, nullptr);
        return 2;
    });
    EXPECT_TRUE(ended.killed_by_filter()) << ended.code << " " << ended.status;
}

TEST_P(Files, AClerkWhoseParentHasGoneIsNotMade) {
    const Ended ended = run([&](const UniqueFd&) {
        const auto locked = lockdown_clerk(1 << 22, filter_);
        return !locked && locked.error().code == Errc::kClosed ? 0 : 1;
    });
    EXPECT_TRUE(ended.exited()) << ended.code << " " << ended.status;
}

// The broker, whatever the policy says.

constexpr Needs kAllOfBroker{.listens = true, .asks_files = true};

TEST(BrokerProcess, HoldsNoCapabilityUnderAnyPolicy) {
    for (const auto& in : {in_child, in_child_as_ordinary_user})
        EXPECT_TRUE(in([] {
                        const UniqueFd status(::open("/proc/self/status", O_RDONLY | O_CLOEXEC));
                        if (report(lockdown_broker(kAllOfBroker)) != 0) return 99;
                        const auto held = read_credentials(status);
                        return held && held->capabilities[1] == 0 && held->capabilities[2] == 0 &&
                                       held->capabilities[4] == 0
                                   ? 0
                                   : 1;
                    }).exited());
}

TEST(BrokerProcess, CannotOpenAnything) {
    EXPECT_TRUE(in_child([] {
                    if (report(lockdown_broker(kAllOfBroker)) != 0) return 99;
                    return ::open("/dev/null", O_RDONLY | O_CLOEXEC) < 0 ? 1 : 2;
                }).killed_by_filter());
}

TEST(BrokerProcess, CannotWriteToAFileThatIsOpen) {
    EXPECT_TRUE(in_child([] {
                    const UniqueFd file(::memfd_create("file", MFD_CLOEXEC));
                    if (report(lockdown_broker(kAllOfBroker)) != 0) return 99;
                    return ::write(file.get(), "x", 1) == 1 ? 1 : 2;
                }).killed_by_filter());
}

// The policy compiler.

int compile_like() {
    const UniqueFd text(::memfd_create("policy", MFD_CLOEXEC));
    if (::write(text.get(), "schema = 1\n", 11) != 11 || ::lseek(text.get(), 0, SEEK_SET) != 0) return 101;
    if (report(lockdown_compiler()) != 0) return 102;
    std::string read(100, '\0');
    if (::read(text.get(), read.data(), read.size()) != 11) return 103;
    std::vector<std::unique_ptr<std::string>> pieces;
    for (std::size_t size = 1; size < (std::size_t{16} << 20U); size *= 2)
        pieces.push_back(std::make_unique<std::string>(size, 'x'));
    try {
        throw std::runtime_error(std::to_string(pieces.size()));
    } catch (const std::exception& error) {
        return error.what() == std::string("24") ? 0 : 104;
    }
}

TEST(Compiler, ReadsAllocatesThrowsAndWrites) {
    EXPECT_TRUE(in_child(compile_like).exited());
    EXPECT_TRUE(in_child_as_ordinary_user(compile_like).exited());
}

TEST(Compiler, OpensNothingButTimeZones) {
    const Scratch scratch;
    const UniqueFd zones = scratch.directory("zones");
    const UniqueFd inside = scratch.directory("zones/Europe");
    scratch.file("zones/Europe/Berlin", "zone");
    scratch.file("other", "secret");
    const auto opens = [&](const char* path, FdRef granted) {
        const Ended ended = in_child([&] {
            if (report(lockdown_compiler(granted)) != 0) return 100;
            return ::openat(zones.get(), path, O_RDONLY | O_CLOEXEC) >= 0 ? 0 : errno;
        });
        EXPECT_TRUE(ended.code == CLD_EXITED);
        return ended.status;
    };
    EXPECT_EQ(opens("Europe/Berlin", zones), 0);
    EXPECT_EQ(opens("Europe", zones), EACCES) << "a directory";
    EXPECT_EQ(opens("../other", zones), EACCES);
    EXPECT_EQ(opens("/etc/passwd", zones), EACCES);
    EXPECT_EQ(opens("Europe/Berlin", FdRef(-1)), EACCES);
}

TEST(Compiler, CannotOpenAFileForWriting) {
    EXPECT_TRUE(in_child([] {
                    if (report(lockdown_compiler()) != 0) return 100;
                    return ::open("/etc/passwd", O_RDWR | O_CLOEXEC) >= 0 ? 101 : 102;
                }).killed_by_filter());
}

TEST(Compiler, CannotTakeMoreMemoryThanItsLimit) {
    EXPECT_TRUE(in_child([] {
                    if (report(lockdown_compiler()) != 0) return 100;
                    void* much = ::mmap(nullptr, std::size_t{600} << 20U, PROT_READ,
                                        MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
                    return much == MAP_FAILED ? 0 : 101;
                }).exited());
}

TEST(Compiler, HoldsNothing) {
    for (const auto& run : {in_child, in_child_as_ordinary_user}) {
        const UniqueFd copy(::memfd_create("status", MFD_CLOEXEC));
        const Ended ended = run([&] {
            const UniqueFd status(::open("/proc/self/status", O_RDONLY | O_CLOEXEC));
            if (report(lockdown_compiler()) != 0) return 100;
            std::string text(8192, '\0');
            const ssize_t size = ::read(status.get(), text.data(), text.size());
            return size > 0 && ::write(copy.get(), text.data(), static_cast<std::size_t>(size)) == size ? 0
                                                                                                        : 101;
        });
        ASSERT_TRUE(ended.exited()) << ended.code << " " << ended.status;
        const auto held = read_credentials(copy);
        ASSERT_TRUE(held) << held.error().what;
        const uid_t uid = held->uid[0];
        const auto same = compare({.uid = uid, .gid = held->gid[0], .bounding_is_ours = uid == 0}, *held);
        EXPECT_TRUE(same) << same.error().what;
    }
}

}  // namespace
}  // namespace sallyport::sandbox::testing
