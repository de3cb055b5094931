// The plan of a freeze, from texts as the kernel writes them.
#include <gtest/gtest.h>

#include <array>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "broker/freeze_plan/plan.hpp"

namespace sallyport::freeze_plan {
namespace {

constexpr const char* kMounts =
    "22 1 254:1 / / rw - ext4 /dev/vda1 rw\n"
    "23 22 0:21 / /proc rw shared:5 - proc proc rw\n"
    "24 22 254:2 / /srv rw shared:1 master:2 - xfs /dev/vda2 rw\n"
    "25 22 254:1 /home /bind rw - ext4 /dev/vda1 rw\n"
    "26 24 7:0 / /srv/with\\040space rw - ext4 /dev/loop0 rw\n"
    "27 22 0:40 / /nfs rw - nfs4 server:/export rw\n"
    "28 22 0:41 / /fuse rw - fuse.sshfs sshfs#x rw\n"
    "29 22 8:1 / /ntfs rw - fuseblk /dev/sda1 rw\n"
    "30 22 0:42 /sub1 /data rw - btrfs /dev/vdb rw\n"
    "31 30 0:42 /sub2 /data/two rw - btrfs /dev/vdb rw\n"
    "32 22 0:43 / /merged rw - overlay overlay rw\n"
    "33 22 0:44 / /auto rw - autofs systemd-1 rw\n";

std::vector<FileSystem> plan_of(const ipc::FreezeSelection& selection = {},
                                const std::map<std::string, std::vector<std::string>>& backing = {}) {
    const auto mounts = parse_mounts(kMounts);
    if (!mounts) return {};
    return plan(*mounts, selection, [&](const Mount& mount) {
        const auto found = backing.find(mount.source);
        return found == backing.end() ? std::vector<std::string>() : found->second;
    });
}

std::string frozen(const std::vector<FileSystem>& systems) {
    std::string text;
    for (const FileSystem& system : systems)
        if (system.skipped == nullptr) text += system.mounts.front().point + " ";
    return text;
}

TEST(FreezePlan, TakesEachLocalFileSystemOnceTheLastMountedFirst) {
    EXPECT_EQ(frozen(plan_of()), "/data /srv/with space /srv / ");
}

TEST(FreezePlan, FreezesWhatLiesOnAFileSystemBeforeIt) {
    EXPECT_EQ(frozen(plan_of({}, {{"/dev/vda2", {"/data/images/disk"}}})), "/srv /srv/with space / /data ");
    EXPECT_EQ(
        frozen(plan_of({}, {{"/dev/vda1", {"/srv/with space/root"}}, {"/dev/loop0", {"/data/two/image"}}})),
        "/ /srv /srv/with space /data ");
}

TEST(FreezePlan, EndsWhereFileSystemsLieOnEachOtherInACircle) {
    EXPECT_EQ(plan_of({}, {{"/dev/vda1", {"/srv/a"}}, {"/dev/vda2", {"/b"}}}).size(), plan_of().size());
}

TEST(FreezePlan, LeavesAloneWhatIsNotLocalUnlessItIsNamed) {
    ipc::FreezeSelection selection;
    selection.add_mounts("/nfs");
    EXPECT_EQ(frozen(plan_of(selection)), "/nfs ");
    for (const FileSystem& system : plan_of()) {
        const std::string type = system.mounts.front().type;
        const bool is_local = type == "ext4" || type == "xfs" || type == "btrfs";
        EXPECT_EQ(system.skipped == nullptr, is_local) << type;
    }
}

struct Cover {
    const char* what;
    const char* line;
    bool is_left_out;  // /srv/x
};
constexpr std::array kCovers{
    Cover{"nothing", "", false},
    Cover{"on the same point", "30 20 8:3 / /srv/x rw - xfs /dev/sdc rw\n", true},
    Cover{"on the way, where it is mounted on", "30 10 8:3 / /srv rw - xfs /dev/sdc rw\n", true},
    Cover{"on the root of what it is mounted on", "30 10 8:3 / / rw - xfs /dev/sdc rw\n", true},
    Cover{"on the way, further up", "30 9 8:3 / /old rw - xfs /dev/sdc rw\n", false},
    Cover{"a neighbour", "30 10 8:3 / /srv/x2 rw - xfs /dev/sdc rw\n", false},
    Cover{"something below it", "30 20 8:3 / /srv/x/y rw - xfs /dev/sdc rw\n", false},
    Cover{"a local user's FUSE on it", "30 20 0:50 / /srv/x rw - fuse.sshfs x rw\n", false},
    Cover{"a local user's FUSE above it", "30 10 0:50 / /srv rw - fuse x rw\n", false},
};

TEST(FreezePlan, LeavesOutWhatOtherMountsCoverUnlessItIsFuse) {
    for (const Cover& cover : kCovers) {
        const auto mounts = parse_mounts(
            "9 9 0:1 / / rw - rootfs rootfs rw\n"
            "10 9 8:1 / / rw - ext4 /dev/sda rw\n"
            "20 10 8:2 / /srv/x rw - ext4 /dev/sdb rw\n" +
            std::string(cover.line));
        ASSERT_TRUE(mounts) << cover.what;
        for (const FileSystem& system :
             plan(*mounts, {}, [](const Mount&) { return std::vector<std::string>(); }))
            if (system.device == Device{8, 2}) {
                EXPECT_EQ(system.is_covered, cover.is_left_out) << cover.what;
            }
    }
}

TEST(FreezePlan, LeavesOutWhatIsCoveredWhereThePolicyNamesIt) {
    const auto mounts = parse_mounts(
        "10 1 8:1 / / rw - ext4 /dev/sda rw\n"
        "20 10 8:2 / /a rw - ext4 /dev/sdb rw\n"
        "21 10 8:2 / /b rw - ext4 /dev/sdb rw\n"
        "22 20 0:5 / /a rw - tmpfs x rw\n");
    ASSERT_TRUE(mounts);
    for (const auto& [point, is_left_out] : {std::pair("/a", true), std::pair("/b", false)}) {
        ipc::FreezeSelection selection;
        selection.add_mounts(point);
        for (const FileSystem& system :
             plan(*mounts, selection, [](const Mount&) { return std::vector<std::string>(); }))
            if (system.device == Device{8, 2}) {
                EXPECT_EQ(system.is_covered, is_left_out) << point;
            }
    }
}

TEST(FreezePlan, KnowsAFileSystemByEachOfItsMountPoints) {
    ipc::FreezeSelection selection;
    selection.add_mounts("/bind");
    selection.add_mounts("/data/two");
    EXPECT_EQ(frozen(plan_of(selection)), "/data / ");
    selection.add_exclude("/data");
    EXPECT_EQ(frozen(plan_of(selection)), "/ ");
}

TEST(FreezePlan, ChoosesByTypeAndSource) {
    ipc::FreezeSelection selection;
    selection.add_types("ext4");
    EXPECT_EQ(frozen(plan_of(selection)), "/srv/with space / ");
    selection.add_exclude_sources("/dev/loop0");
    EXPECT_EQ(frozen(plan_of(selection)), "/ ");
    selection.add_sources("/dev/vda2");
    EXPECT_EQ(frozen(plan_of(selection)), "");
}

TEST(Mountinfo, IsRefusedWhereALineIsNotOfTheKnownForm) {
    for (const char* text : {"nonsense", "1 2 3:4 / /x rw\n", "1 2 x:4 / /x rw - ext4 d rw\n",
                             "1 2 3:4 / x rw - ext4 d\n", "\n", "1 2 3:4 / /x rw - \n"})
        EXPECT_FALSE(parse_mounts(text)) << text;
    EXPECT_TRUE(parse_mounts(""));
}

}  // namespace
}  // namespace sallyport::freeze_plan
