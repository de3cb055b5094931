// Mounts that come and go, and procfs in every place: each program has mounts of its own.
#include <fcntl.h>
#include <sys/mount.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>

#include "broker/files/judge.hpp"
#include "tests/unit/files/room.hpp"

namespace sallyport::files {
namespace {

namespace fs = std::filesystem;

class Mounts : public Room {
protected:
    static void SetUpTestSuite() { leave_mounts(); }
    Mounts() {
        scratch_.write("in/keys/key", "key");
        scratch_.write("in/file", "file");
        scratch_.make_folder("in/empty");
    }
    ~Mounts() override {
        for (auto at = mounted_.rbegin(); at != mounted_.rend(); ++at) ::umount2(at->c_str(), MNT_DETACH);
    }
    void mount(const char* what, const std::string& where, const char* type, unsigned long flags = 0) {
        ASSERT_EQ(::mount(what, path(where).c_str(), type, flags, nullptr), 0) << where;
        mounted_.push_back(path(where));
    }
    void bind(const std::string& what, const std::string& where, unsigned long flags = MS_BIND) {
        mount(what.c_str(), where, nullptr, flags);
    }

private:
    std::vector<std::string> mounted_;
};

TEST_F(Mounts, WhatIsMountedLaterIsSeenAndWhatItHidesIsNot) {
    allow("in", kAll);
    ASSERT_TRUE(start());
    mount("disk", "in", "tmpfs");
    scratch_.write("in/on-disk", "disk");
    EXPECT_EQ(open("in/on-disk"), "=disk");
    EXPECT_EQ(open("in/file"), "ENOENT");
    EXPECT_EQ(open("in/new", "w"), "opened");
    ASSERT_EQ(::umount(path("in").c_str()), 0);  // nothing keeps it busy
    EXPECT_FALSE(fs::exists(path("in/new")));
    EXPECT_EQ(open("in/file"), "=file");
    EXPECT_EQ(open("in/on-disk"), "ENOENT");
}

TEST_F(Mounts, WhatIsMountedOverADirectoryAboveIsSeen) {
    allow("in/below/deep", kAll);
    ASSERT_TRUE(start());
    mount("disk", "in", "tmpfs");
    scratch_.write("in/below/deep/file", "disk");
    EXPECT_EQ(open("in/below/deep/file"), "=disk");
}

TEST_F(Mounts, ADiskThatIsChangedByALazyUnmountIsSeen) {
    allow("in");
    mount("first", "in", "tmpfs");
    scratch_.write("in/file", "first");
    EXPECT_EQ(open("in/file"), "=first");
    const UniqueFd held = opened("in/file", "r");
    ASSERT_EQ(::umount2(path("in").c_str(), MNT_DETACH), 0);
    mount("second", "in", "tmpfs");
    scratch_.write("in/file", "second");
    EXPECT_EQ(open("in/file"), "=second");
}

TEST_F(Mounts, AReadOnlyRemountIsTheSystemsError) {
    allow("in", kAll);
    mount("disk", "in", "tmpfs");
    ASSERT_TRUE(start());
    ASSERT_EQ(::mount(nullptr, path("in").c_str(), nullptr, MS_REMOUNT | MS_RDONLY, nullptr), 0);
    EXPECT_EQ(open("in/new", "w"), "EROFS");
}

TEST_F(Mounts, ADeniedDirectoryThatIsMountedElsewhereStaysDenied) {
    allow("in", kAll);
    deny("in/keys");
    scratch_.make_folder("in/b/c");
    ASSERT_TRUE(start());
    bind(path("in/keys"), "in/empty");
    bind(path("in"), "in/b/c");  // and its parent
    for (const char* name : {"in/empty/key", "in/empty/none", "in/b/c/keys/key", "in/b/c/keys/none"}) {
        EXPECT_EQ(open(name), "refused") << name;
        EXPECT_EQ(open(name, "w"), "refused") << name;
    }
    EXPECT_EQ(open("in/b/c/file"), "=file");
}

TEST_F(Mounts, ADeniedDirectoryThatIsMountedLaterIsDeniedElsewhereToo) {
    allow("in");
    deny("in/keys");
    ASSERT_TRUE(start());
    mount("disk", "in/keys", "tmpfs");
    scratch_.write("in/keys/key", "on the disk");
    bind(path("in/keys"), "in/empty");
    EXPECT_EQ(open("in/empty/key"), "refused");
    EXPECT_EQ(open("in/empty/none"), "refused");
}

TEST_F(Mounts, ADeniedNameThatLeadsThroughAnotherDiskAndBackIsFoundToo) {
    allow("in");
    deny("in/keys/deep");
    ASSERT_TRUE(start());
    mount("disk", "in/keys", "tmpfs");
    scratch_.make_folder("in/keys/deep");
    scratch_.write("in/back/file", "denied now");
    bind(path("in/back"), "in/keys/deep");
    EXPECT_EQ(open("in/back/file"), "refused");
    EXPECT_EQ(open("in/back/none"), "refused");
    EXPECT_EQ(open("in/file"), "=file");
}

TEST_F(Mounts, WhatLiesBelowTheRootNoMoreIsRefused) {
    allow("in");
    ASSERT_TRUE(start());
    mount("disk", "in", "tmpfs");
    scratch_.make_folder("in/deep");
    const UniqueFd deep = *find_path(path("in/deep"), O_DIRECTORY);
    Forbidden nothing({});
    EXPECT_TRUE(judge_way(deep, "file", nothing));
    ASSERT_EQ(::umount2(path("in").c_str(), MNT_DETACH), 0);
    const auto judged = judge_way(deep, "file", nothing);
    ASSERT_FALSE(judged);
    EXPECT_EQ(judged.error().sys_errno, 0) << "a refusal";
}

class Procfs : public Mounts {
protected:
    Procfs() {
        scratch_.make_folder("in/proc");
        scratch_.write("in/one", "");
    }
    // With and without the rule that shows all of a procfs.
    policy::FileRule& allow_all(const std::string& under) {
        policy::FileRule& rule = allow(under, kAll);
        rule.kinds = {true, true, true, true, true, true};
        rule.any_links = rule.any_setid = rule.follow_symlinks = true;
        return rule;
    }
    void expect_closed(const std::string& folder) {
        const std::string self = std::to_string(::getpid());
        for (const std::string& who : {self, std::string("1"), self + "/task/" + self, std::string("self"),
                                       std::string("thread-self")}) {
            for (const char* file :
                 {"mem", "maps", "environ", "status", "root/etc/passwd", "cwd", "fd/0", "ns/mnt"})
                EXPECT_EQ(open(folder + "/" + who + "/" + file), "refused")
                    << folder << " " << who << " " << file;
            EXPECT_EQ(open(folder + "/" + who + "/mem", "r+"), "refused") << folder << " " << who;
            EXPECT_EQ(open(folder + "/" + who), "refused") << folder << " " << who;
        }
        EXPECT_EQ(open(folder + "/net/dev"), "refused");
        EXPECT_EQ(open(folder + "/mounts"), "refused");
    }
};

TEST_F(Procfs, NoFileOfAProcessIsOpenedWhereEverythingIsAllowed) {
    allow_all("/");
    expect_closed("/proc");
    EXPECT_EQ(open("/proc/sys/kernel/ostype"), "=Linux\n");
    EXPECT_EQ(open("/proc/version").substr(0, 6), "=Linux");
    EXPECT_EQ(open("/proc"), "opened");
}

TEST_F(Procfs, WhetherAProcessLivesIsNotTold) {
    allow_all("/");
    mount("proc", "in/proc", "proc");
    scratch_.write("in/123/file", "no process");
    const std::string self = std::to_string(::getpid());
    const std::string none = "4194304";  // no process has so high a number
    for (const std::string& procfs : {std::string("/proc"), path("in/proc")}) {
        for (const std::string& who : {self, none})
            for (const char* file : {"", "/", "/status", "/none", "/none/none", "/task/1/none"})
                for (const char* mode : {"r", "a"})
                    EXPECT_EQ(open(procfs + "/" + who + file, mode), "refused") << procfs << who << file;
        EXPECT_EQ(open(procfs + "/none"), "ENOENT");
    }
    fs::create_symlink("/proc/" + none + "/status", path("in/link"));
    EXPECT_EQ(open("in/link"), "refused");
    EXPECT_EQ(open("in/123/file"), "=no process");
}

TEST_F(Procfs, NoFileOfAProcessIsOpenedByAnotherMount) {
    allow_all("/");
    mount("proc", "in/proc", "proc");
    expect_closed(path("in/proc"));
    EXPECT_EQ(open("in/proc/version").substr(0, 6), "=Linux");
}

TEST_F(Procfs, BelowARuleForADirectoryOfAnotherFileSystemNothingOfAProcfsIsOpened) {
    allow_all("in");
    mount("proc", "in/proc", "proc");
    expect_closed(path("in/proc"));
    for (const char* name :
         {"in/proc/version", "in/proc/sys/kernel/ostype", "in/proc/cpuinfo", "in/proc/none", "in/proc"})
        EXPECT_EQ(open(name), "refused") << name;
}

TEST_F(Procfs, ARuleForAPartOfAProcfsShowsThisPart) {
    allow_all("/proc/sys/kernel");
    EXPECT_EQ(open("/proc/sys/kernel/ostype"), "=Linux\n");
}

TEST_F(Procfs, ARuleForTheFolderOfAProcessShowsNothing) {
    allow_all("/proc/1");
    allow_all("/proc/" + std::to_string(::getpid()));
    EXPECT_EQ(open("/proc/1/status"), "refused");
    EXPECT_EQ(open("/proc/" + std::to_string(::getpid()) + "/mem", "r+"), "refused");
    EXPECT_EQ(open("/proc/" + std::to_string(::getpid()) + "/none"), "refused");
    EXPECT_EQ(open("/proc/" + std::to_string(::getpid()) + "/task/1/none"), "refused");
}

TEST_F(Procfs, APartOfAProcfsThatIsMountedByItselfIsClosed) {
    allow_all("/");
    bind("/proc/self", "in/proc");
    for (const char* name : {"in/proc/mem", "in/proc/maps", "in/proc/task", "in/proc"})
        EXPECT_EQ(open(name), "refused") << name;
    bind("/proc/self/task", "in/empty");
    const std::string self = std::to_string(::getpid());
    EXPECT_EQ(open("in/empty/" + self + "/mem"), "refused");
    bind("/proc/self/mem", "in/one");
    EXPECT_EQ(open("in/one"), "refused");
    EXPECT_EQ(open("in/one", "r+"), "refused");
}

TEST_F(Procfs, TheFolderOfAProcessThatIsMountedBelowAProcfsIsClosed) {
    allow_all("/");
    mount("proc", "in/proc", "proc");
    bind("/proc/self", "in/proc/sys");
    EXPECT_EQ(open("in/proc/sys/maps"), "refused");
}

}  // namespace
}  // namespace sallyport::files
