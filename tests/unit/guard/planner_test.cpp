// What the guard takes from its planner, which may lie, and what of it it opens.
#include "broker/guard/planner.hpp"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <linux/magic.h>
#include <poll.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <initializer_list>
#include <string>
#include <vector>

#include "broker/guard/select.hpp"
#include "broker/guard/spawn.hpp"
#include "broker/guard/walk.hpp"
#include "ipc/channel.hpp"
#include "ipc/codec.hpp"
#include "ipc/limits.hpp"

namespace sallyport::guard {
namespace {

struct Said {
    std::uint32_t system = 0;
    std::uint32_t level = 0;
    std::string point = "/x";
};

PlanPart part_of(std::initializer_list<Said> all) {
    PlanPart part;
    for (const Said& said : all) {
        PlanPart::Place& place = *part.add_places();
        place.set_system(said.system);
        place.set_level(said.level);
        place.set_point(said.point);
        place.set_mount(7);
    }
    return part;
}

TEST(PlannersWord, MakesAPlanWhereItIsInOrder) {
    std::vector<Planned> plan;
    ASSERT_TRUE(add_part(part_of({{0, 0, "/a"}, {0, 0, "/b"}, {1, 0, "/c"}}), plan));
    ASSERT_TRUE(add_part(part_of({{1, 0, "/d"}, {2, 3, "/"}}), plan));
    ASSERT_EQ(plan.size(), 3U);
    EXPECT_EQ(plan[1].places[1].point, "/d");
    EXPECT_EQ(plan[1].places[1].mount, 7U);
    EXPECT_EQ(plan[2].level, 3U);
}

TEST(PlannersWord, IsRefusedWhereItIsNot) {
    const std::vector<std::pair<const char*, PlanPart>> cases{
        {"a number left out", part_of({{1, 0, "/a"}})},
        {"an earlier file system", part_of({{0, 0, "/a"}, {1, 0, "/b"}, {0, 0, "/c"}})},
        {"two levels of one", part_of({{0, 0, "/a"}, {0, 1, "/b"}})},
        {"a level that sinks", part_of({{0, 1, "/a"}, {1, 0, "/b"}})},
        {"a relative path", part_of({{0, 0, "a"}})},
        {"no path", part_of({{0, 0, ""}})},
        {"a NUL", part_of({{0, 0, std::string("/a\0b", 4)}})},
        {"a path too long", part_of({{0, 0, "/" + std::string(kMaxPath, 'a')}})},
        {"nothing, and no end", PlanPart()},
    };
    for (const auto& [name, part] : cases) {
        std::vector<Planned> plan;
        EXPECT_FALSE(add_part(part, plan)) << name;
    }
}

TEST(PlannersWord, IsBounded) {
    std::vector<Planned> plan;
    for (std::uint32_t at = 0; at < kMaxFreezeMounts; ++at)
        ASSERT_TRUE(add_part(part_of({{at, 0, "/a"}}), plan));
    EXPECT_FALSE(add_part(part_of({{kMaxFreezeMounts, 0, "/a"}}), plan));
}

// What comes of a planner that says one part 400 times before it says that it was the last.
Result<Plan> hear_again_and_again(PlanPart part) {
    auto sockets = ipc::socket_pair();
    const pid_t planner = ::fork();
    if (planner == 0) {
        sockets->first.reset();
        std::string bytes;
        for (int left = 400; left > 0; --left) {
            part.set_last(left == 1);
            ipc::encode(part, bytes);
            if (!ipc::send(sockets->second, bytes, ipc::WhenFull::kWait)) break;
        }
        ::_exit(0);
    }
    sockets->second.reset();
    auto heard = hear_plan(sockets->first, now_ns() + 60'000'000'000);
    sockets->first.reset();
    EXPECT_EQ(::waitpid(planner, nullptr, 0), planner);
    return heard;
}

TEST(PlannersWord, IsHeardUpToABoundOfPlacesAndOfBytes) {
    const std::string longest = "/" + std::string(kMaxPath - 1, 'a');
    for (const std::string& point : {std::string("/a"), longest}) {
        PlanPart part;
        while (part.ByteSizeLong() + point.size() < kMaxFrame - 64 && part.places_size() < 2000)
            *part.add_places() = part_of({{0, 0, point}}).places(0);
        const auto heard = hear_again_and_again(part);
        ASSERT_FALSE(heard);
        EXPECT_EQ(heard.error().code, Errc::kLimit);
        EXPECT_EQ(heard.error().sys_errno, 0) << "not for want of time";
    }
}

// So that it may mount: namespaces of its own, in which an ordinary user is root.
bool enter_namespaces() {
    const auto write = [](const char* name, const std::string& text) {
        const UniqueFd file(::open(name, O_WRONLY | O_CLOEXEC));
        return ::write(file.get(), text.data(), text.size()) == static_cast<ssize_t>(text.size());
    };
    const std::string uid = std::to_string(::geteuid());
    const std::string gid = std::to_string(::getegid());
    if (uid == "0")
        return ::unshare(CLONE_NEWNS) == 0 && ::mount("", "/", nullptr, MS_REC | MS_PRIVATE, nullptr) == 0;
    return ::unshare(CLONE_NEWUSER | CLONE_NEWNS) == 0 && write("/proc/self/setgroups", "deny") &&
           write("/proc/self/uid_map", "0 " + uid + " 1") && write("/proc/self/gid_map", "0 " + gid + " 1");
}

// Opens nothing at /mnt, where a FUSE file system is mounted whose server never answers.
int try_silent_server() {
    const UniqueFd server(::open("/dev/fuse", O_RDWR | O_CLOEXEC));
    const std::string options = "fd=" + std::to_string(server.get()) + ",rootmode=40000,user_id=0,group_id=0";
    if (!enter_namespaces() || ::mount("silent", "/mnt", "fuse", MS_NODEV | MS_NOSUID, options.c_str()) != 0)
        return 2;
    const UniqueFd root(::open("/mnt", O_PATH | O_DIRECTORY | O_CLOEXEC));
    const auto seen = see(root);
    const auto opened = seen ? open_selected({seen->mount, "/mnt"}, {}) : std::unexpected(seen.error());
    return !opened && opened.error().sys_errno == EPERM ? 0 : 1;
}

TEST(PlannersWord, HasNoFuseServerAskedWhatItIs) {
    constexpr int kPatienceMs = 20'000;
    const pid_t child = ::fork();
    if (child == 0) ::_exit(try_silent_server());
    const UniqueFd process(static_cast<int>(::syscall(SYS_pidfd_open, child, 0)));
    pollfd ended{.fd = process.get(), .events = POLLIN, .revents = 0};
    EXPECT_EQ(::poll(&ended, 1, kPatienceMs), 1) << "it waits for the server";
    ::kill(child, SIGKILL);
    int status = 0;
    EXPECT_EQ(::waitpid(child, &status, 0), child);
    EXPECT_EQ(status, 0);
}

std::uint64_t mount_id(const std::string& path) {
    struct statx info{};
    EXPECT_EQ(::statx(AT_FDCWD, path.c_str(), 0, STATX_MNT_ID, &info), 0);
    return info.stx_mnt_id;
}

int error_of(const Place& place, const ipc::FreezeSelection& selection) {
    const auto opened = open_selected(place, selection);
    return opened ? 0 : opened.error().sys_errno;
}

// /proc is a mount everywhere, and not local.
TEST(PlannersWord, OpensTheRootOfTheMountThatItNamesAndNothingElse) {
    ipc::FreezeSelection named;
    named.add_mounts("/proc");
    named.add_mounts("/proc/sys");
    named.add_mounts("/etc");
    EXPECT_EQ(error_of({mount_id("/proc"), "/proc"}, named), 0);
    EXPECT_EQ(error_of({mount_id("/proc") + 1, "/proc"}, named), ESTALE);
    EXPECT_EQ(error_of({mount_id("/etc"), "/etc"}, named), ESTALE) << "a directory of it";
    EXPECT_EQ(error_of({mount_id("/proc"), "/proc/sys"}, named), EREMOTE) << "one that has to be asked for";
    EXPECT_EQ(error_of({mount_id("/proc"), "/proc/"}, named), ESTALE) << "a mount point that is not named";
}

TEST(PlannersWord, OpensNothingThatTheSelectionCannotMean) {
    const Place proc{mount_id("/proc"), "/proc"};
    ipc::FreezeSelection selection;
    EXPECT_EQ(error_of(proc, selection), EPERM) << "not local, and not named";
    selection.add_types("ext4");
    EXPECT_EQ(error_of(proc, selection), EPERM) << "of another type";
    selection.add_types("proc");
    EXPECT_EQ(error_of(proc, selection), 0);
    selection.add_exclude("/proc");
    EXPECT_EQ(error_of(proc, selection), EPERM) << "excluded";
}

TEST(PlannersWord, TakesForLocalWhatHasADeviceAndBtrfsButNotFuse) {
    constexpr std::uint64_t kFuse = 0x65735546;
    const ipc::FreezeSelection all;
    EXPECT_TRUE(is_meant({.device_major = 7, .magic = EXT4_SUPER_MAGIC}, all));
    EXPECT_TRUE(is_meant({.device_major = 0, .magic = BTRFS_SUPER_MAGIC}, all));
    EXPECT_FALSE(is_meant({.device_major = 0, .magic = NFS_SUPER_MAGIC}, all));
    EXPECT_FALSE(is_meant({.device_major = 0, .magic = kFuse}, all));
    EXPECT_FALSE(is_meant({.device_major = 8, .magic = kFuse}, all)) << "fuseblk";
    ipc::FreezeSelection xfs;
    xfs.add_types("xfs");
    EXPECT_FALSE(is_meant({.device_major = 7, .magic = EXT4_SUPER_MAGIC}, xfs));
    EXPECT_TRUE(is_meant({.device_major = 7, .magic = 0x58465342}, xfs));
}

}  // namespace
}  // namespace sallyport::guard
