// The plan of a freeze, from texts as the kernel writes them.
#include <gtest/gtest.h>

#include <map>
#include <string>
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
    "31 22 0:42 /sub2 /data/two rw - btrfs /dev/vdb rw\n"
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
