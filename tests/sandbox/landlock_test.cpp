// Landlock: each right is refused, and a tree of the policy is all that a broker can open.
#include "sandbox/landlock.hpp"

#include <arpa/inet.h>
#include <fcntl.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/un.h>
#include <termios.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <csignal>
#include <cstddef>
#include <cstring>
#include <functional>
#include <string>
#include <vector>

#include "tests/sandbox/confined.hpp"

namespace sallyport::sandbox::testing {
namespace {

long kernels_version() {
    return ::syscall(SYS_landlock_create_ruleset, nullptr, 0, LANDLOCK_CREATE_RULESET_VERSION);
}

sockaddr_un unix_address(const std::string& name) {
    sockaddr_un address{.sun_family = AF_UNIX, .sun_path = {}};
    std::memcpy(address.sun_path, name.data(), std::min(name.size(), sizeof address.sun_path - 1));
    return address;
}

int bind_unix(const std::string& path) {
    const UniqueFd socket(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
    const sockaddr_un address = unix_address(path);
    return ::bind(socket.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address);
}

sockaddr_in loopback() {
    return {
        .sin_family = AF_INET, .sin_port = htons(9), .sin_addr = {htonl(INADDR_LOOPBACK)}, .sin_zero = {}};
}

int with_tcp(int (*act)(int, const sockaddr*, socklen_t)) {
    const UniqueFd socket(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
    const sockaddr_in address = loopback();
    return act(socket.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address);
}

int opened(int fd) {
    const UniqueFd file(fd);
    return file.is_open() ? 0 : -1;
}

struct Right {
    const char* name;
    int since;  // version of Landlock
    int error;
    int (*attempt)(const Scratch&);
};

// Each would succeed for root without Landlock, and fail with another error, if at all, for others.
// clang-format off
const std::vector<Right>& rights() {
    static const std::vector<Right> kRights{
    {"Execute",    1, EACCES, [](const Scratch& at) { return ::execl(at.path("program").c_str(), "program", nullptr); }},
    {"ReadFile",   1, EACCES, [](const Scratch& at) { return opened(::open(at.path("file").c_str(), O_RDONLY)); }},
    {"WriteFile",  1, EACCES, [](const Scratch& at) { return opened(::open(at.path("file").c_str(), O_WRONLY)); }},
    {"ReadDir",    1, EACCES, [](const Scratch& at) { return opened(::open(at.path("dir").c_str(), O_RDONLY | O_DIRECTORY)); }},
    {"RemoveDir",  1, EACCES, [](const Scratch& at) { return ::rmdir(at.path("dir").c_str()); }},
    {"RemoveFile", 1, EACCES, [](const Scratch& at) { return ::unlink(at.path("file").c_str()); }},
    {"MakeChar",   1, EACCES, [](const Scratch& at) { return ::mknod(at.path("new").c_str(), S_IFCHR | 0600, makedev(1, 3)); }},
    {"MakeDir",    1, EACCES, [](const Scratch& at) { return ::mkdir(at.path("new").c_str(), 0700); }},
    {"MakeReg",    1, EACCES, [](const Scratch& at) { return ::mknod(at.path("new").c_str(), S_IFREG | 0600, 0); }},
    {"MakeSock",   1, EACCES, [](const Scratch& at) { return bind_unix(at.path("new")); }},
    {"MakeFifo",   1, EACCES, [](const Scratch& at) { return ::mkfifo(at.path("new").c_str(), 0600); }},
    {"MakeBlock",  1, EACCES, [](const Scratch& at) { return ::mknod(at.path("new").c_str(), S_IFBLK | 0600, makedev(7, 0)); }},
    {"MakeSym",    1, EACCES, [](const Scratch& at) { return ::symlink("file", at.path("new").c_str()); }},
    {"Rename",     1, EACCES, [](const Scratch& at) { return ::rename(at.path("file").c_str(), at.path("new").c_str()); }},
    {"Refer",      2, EACCES, [](const Scratch& at) { return ::link(at.path("file").c_str(), at.path("dir/new").c_str()); }},
    {"Truncate",   3, EACCES, [](const Scratch& at) { return ::truncate(at.path("file").c_str(), 0); }},
    {"BindTcp",    4, EACCES, [](const Scratch&) { return with_tcp(::bind); }},
    {"ConnectTcp", 4, EACCES, [](const Scratch&) { return with_tcp(::connect); }},
    {"Signal",     6, EPERM,  [](const Scratch&) { return ::kill(::getppid(), 0); }},
    };
    return kRights;
}
// clang-format on

int attempt_confined(const Right& right, const Scratch& scratch) {
    if (::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0) return 101;
    if (report(landlock::restrict_to({})) != 0) return 102;
    if (right.attempt(scratch) == 0) return 103;
    return errno == right.error ? 0 : 104;
}

void fill(const Scratch& scratch) {
    scratch.file("file", "contents");
    scratch.file("program", "#!/bin/true\n");
    ::chmod(scratch.path("program").c_str(), 0755);
    EXPECT_TRUE(scratch.directory("dir").is_open());
}

TEST(Landlock, EachRightOfThisKernelIsRefused) {
    const long version = kernels_version();
    ASSERT_GE(version, 1);
    for (const Right& right : rights()) {
        if (right.since > version) continue;
        const Scratch scratch;
        fill(scratch);
        EXPECT_TRUE(in_child([&] { return attempt_confined(right, scratch); }).exited()) << right.name;
    }
}

TEST(Landlock, TheSameAttemptsSucceedWithoutIt) {
    for (const Right& right : rights()) {
        // The rest takes root, or something that listens.
        const std::string name = right.name;
        if (name == "MakeChar" || name == "MakeBlock" || name == "ConnectTcp" || name == "BindTcp") continue;
        const Scratch scratch;
        fill(scratch);
        EXPECT_TRUE(in_child([&] { return right.attempt(scratch) == 0 ? 0 : 1; }).exited()) << name;
    }
}

TEST(Landlock, AGrantIsForWhatItNamesAndNothingElse) {
    const Scratch scratch;
    EXPECT_TRUE(scratch.directory("export").is_open());
    scratch.file("export/file", "x");
    EXPECT_TRUE(scratch.directory("exports").is_open());
    scratch.file("exports/file", "x");
    const Ended ended = in_child([&] {
        const UniqueFd tree = scratch.directory("export");
        const landlock::Grant grant{.fd = tree.get(), .rights = LANDLOCK_ACCESS_FS_READ_FILE};
        if (::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0 || report(landlock::restrict_to({&grant, 1})) != 0)
            return 100;
        EXPECT_EQ(opened(::open(scratch.path("export/file").c_str(), O_RDONLY)), 0);
        EXPECT_EQ(opened(::open(scratch.path("export/file").c_str(), O_RDWR)), -1);
        EXPECT_EQ(errno, EACCES);
        EXPECT_EQ(opened(::open(scratch.path("exports/file").c_str(), O_RDONLY)), -1);
        EXPECT_EQ(errno, EACCES);
        EXPECT_EQ(opened(::open(scratch.path("export/../exports/file").c_str(), O_RDONLY)), -1);
        EXPECT_EQ(errno, EACCES);
        return ::testing::Test::HasFailure() ? 1 : 0;
    });
    EXPECT_TRUE(ended.exited());
}

// From version 5 on a device that is opened anew cannot be commanded, whatever else is granted.
TEST(Landlock, DevicesCannotBeCommanded) {
    const Ended ended = in_child([] {
        const UniqueFd dev(::open("/dev", O_PATH | O_DIRECTORY | O_CLOEXEC));
        const landlock::Grant grant{.fd = dev.get(), .rights = LANDLOCK_ACCESS_FS_READ_FILE};
        if (::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0 || report(landlock::restrict_to({&grant, 1})) != 0)
            return 100;
        const UniqueFd null(::open("/dev/null", O_RDONLY | O_CLOEXEC));
        termios settings{};
        if (!null.is_open() || ::ioctl(null.get(), TCGETS, &settings) == 0) return 101;
        return errno == (kernels_version() >= 5 ? EACCES : ENOTTY) ? 0 : 102;
    });
    EXPECT_TRUE(ended.exited()) << ended.status;
}

// The socket to the journal or to the service manager is connected before the lockdown and goes on working.
TEST(Landlock, ASocketThatIsConnectedGoesOnWorking) {
    const UniqueFd there(::socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0));
    sockaddr_un address{.sun_family = AF_UNIX, .sun_path = {}};  // the kernel chooses an abstract name
    socklen_t size = sizeof(sa_family_t);
    auto* const generic = reinterpret_cast<sockaddr*>(&address);
    ASSERT_EQ(::bind(there.get(), generic, size), 0);
    size = sizeof address;
    ASSERT_EQ(::getsockname(there.get(), generic, &size), 0);
    const Ended ended = in_child([&] {
        const UniqueFd here(::socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0));
        const UniqueFd late(::socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0));
        if (::connect(here.get(), generic, size) != 0) return 101;
        if (::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0 || report(landlock::restrict_to({})) != 0)
            return 100;
        if (::send(here.get(), "x", 1, MSG_NOSIGNAL) != 1) return 102;
        if (kernels_version() < 6) return 0;
        return ::connect(late.get(), generic, size) != 0 && errno == EPERM ? 0 : 103;
    });
    EXPECT_TRUE(ended.exited()) << ended.status;
}

}  // namespace
}  // namespace sallyport::sandbox::testing
