// A disk that takes nothing for a while, and one that is full; file systems that show what is denied under other numbers.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <linux/btrfs.h>
#include <linux/fs.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstring>
#include <filesystem>
#include <fstream>

#include "ipc/limits.hpp"
#include "tests/freeze/freezing.hpp"
#include "tests/support/audit.hpp"

namespace sallyport::test {
namespace {

constexpr milliseconds kDeadline{kFileTimeoutNs / 1'000'000 + 10'000};
constexpr const char* kPolicy = R"(schema = 1
[[allow]]
id = "work"
commands = ["@file"]
files = [{ under = "$D/work", access = ["read", "write", "create"] },
         { under = "/mnt/fs", access = ["read", "write", "create"] }]
)";

class Disk : public testing::Test {
protected:
    explicit Disk(std::size_t size = 16UL << 20U) : system_({.size = size}) {
        EXPECT_TRUE(agent_.is_serving()) << agent_.messages();
    }
    static std::string open(const std::string& path, const std::string& mode) {
        return command("guest-file-open", members({{"path", in_quotes(path)}, {"mode", in_quotes(mode)}}));
    }
    static std::string write(std::int64_t handle, const std::string& text) {
        return command("guest-file-write", "{\"handle\":" + std::to_string(handle) +
                                               ",\"buf-b64\":" + in_quotes(base64(text)) + "}");
    }
    [[nodiscard]] std::string other_file() const { return agent_.scratch().path("work/file"); }

    LoopFs system_;
    Agent agent_{{.policy = kPolicy,
                  .prepare = [](const Scratch& scratch) { scratch.write("work/file", "contents"); }}};
};

// As one that is suspended below its file system: who changes something waits, and cannot be killed.
class FrozenDisk : public Disk {
protected:
    FrozenDisk() : directory_(::open(system_.point().c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC)) {}
    void set_frozen(bool is_frozen) const {
        ASSERT_EQ(::ioctl(directory_.get(), is_frozen ? FIFREEZE : FITHAW, 0), 0);
    }
    UniqueFd directory_;
};

TEST_F(FrozenDisk, HoldsUpOnlyWhatIsAboutIt) {
    HostClient host = agent_.connect();
    const std::int64_t handle = handle_of(host.ask(open(system_.path("a"), "w+")));
    set_frozen(true);
    EXPECT_NE(desc_of(host.ask(write(handle, "text"), kDeadline)).find("Connection timed out"),
              std::string::npos);
    EXPECT_NE(desc_of(host.ask(open(system_.path("new"), "w"), kDeadline)).find("Connection timed out"),
              std::string::npos);
    EXPECT_EQ(host.ask(command("guest-fsfreeze-status")), "{\"return\": \"thawed\"}");
    EXPECT_EQ(host.ask(command("guest-fsfreeze-thaw")), "{\"return\": 0}");
    const std::int64_t other = handle_of(host.ask(open(other_file(), "r")));
    EXPECT_NE(host.ask(command("guest-file-read", "{\"handle\":" + std::to_string(other) + "}"))
                  .find(base64("contents")),
              std::string::npos);
    set_frozen(false);
    // The open file is still there: it was never with the clerk that waited.
    // It is written to again as soon as that one has ended.
    EXPECT_TRUE(eventually(
        [&] { return host.ask(write(handle, "text")) == "{\"return\": {\"count\": 4, \"eof\": false}}"; }));
    EXPECT_EQ(desc_of(host.ask(open(system_.path("new"), "w"))), "");
    EXPECT_EQ(agent_.stop(), 0);
}

TEST_F(FrozenDisk, AReadFromThePageCacheNeedsNoDisk) {
    HostClient host = agent_.connect();
    const std::int64_t handle = handle_of(host.ask(open(system_.path("a"), "w+")));
    const std::string at_start =
        command("guest-file-seek", "{\"handle\":" + std::to_string(handle) + ",\"offset\":0,\"whence\":0}");
    const std::string read = command("guest-file-read", "{\"handle\":" + std::to_string(handle) + "}");
    host.ask(write(handle, "contents"));
    host.ask(at_start);
    // The first read after a change writes the time of the access.
    EXPECT_NE(host.ask(read).find(base64("contents")), std::string::npos);
    set_frozen(true);
    host.ask(at_start);
    EXPECT_NE(host.ask(read).find(base64("contents")), std::string::npos);
    EXPECT_EQ(host.ask(command("guest-file-close", "{\"handle\":" + std::to_string(handle) + "}"), kDeadline),
              "{\"return\": {}}");
    set_frozen(false);
    EXPECT_EQ(agent_.stop(), 0);
}

TEST_F(Disk, ThatIsFullIsAnErrorAndNoMore) {
    HostClient host = agent_.connect();
    const std::int64_t handle = handle_of(host.ask(open(system_.path("a"), "w+")));
    const std::string part = write(handle, std::string(4UL << 20U, 'x'));
    std::string reply = host.ask(part, kDeadline);
    for (int tries = 0; tries < 8 && desc_of(reply).empty(); ++tries) reply = host.ask(part, kDeadline);
    EXPECT_NE(desc_of(reply).find("No space left on device"), std::string::npos) << reply;
    EXPECT_EQ(host.ask(command("guest-file-close", "{\"handle\":" + std::to_string(handle) + "}"), kDeadline),
              "{\"return\": {}}");
    EXPECT_EQ(desc_of(host.ask(open(other_file(), "r+"))), "");
    EXPECT_EQ(agent_.stop(), 0);
}

constexpr uid_t kSomebody = 12345;

void write(const std::string& path, const std::string& text) {
    std::filesystem::create_directories(std::filesystem::path(path).parent_path());
    std::ofstream(path) << text;
}

// A subvolume `name` in `folder`; with `source`, a snapshot of that one.
int make_subvolume(const std::string& folder, const std::string& name, const std::string& source = "") {
    const UniqueFd directory(::open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    const UniqueFd from(source.empty() ? -1 : ::open(source.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    btrfs_ioctl_vol_args arguments{};
    arguments.fd = from.get();
    std::strncpy(arguments.name, name.c_str(), sizeof arguments.name - 1);
    const unsigned long what = source.empty() ? BTRFS_IOC_SUBVOL_CREATE : BTRFS_IOC_SNAP_CREATE;
    return ::ioctl(directory.get(), what, &arguments);
}

class Subvolumes : public testing::Test {
protected:
    static constexpr const char* kRules = R"(schema = 1
[[allow]]
id = "work"
commands = ["@file"]
files = [{ under = "/mnt/fs/export", access = ["read", "write", "create"] },
         { under = "/mnt/fs/export/way/sub/deep", access = ["read"] }]
)";
    static constexpr const char* kDenial = R"([[deny]]
id = "keys"
files = [{ under = "/mnt/fs/export/keys" }]
)";
    Subvolumes() {
        EXPECT_EQ(make_subvolume(system_.point(), "export"), 0);
        write(path("pub"), "public");
        write(path("keys/secret"), "secret");
        EXPECT_EQ(::chmod(path("keys").c_str(), 0700), 0);
        EXPECT_EQ(::chown(system_.path("export").c_str(), kSomebody, kSomebody), 0);
        std::filesystem::create_directory(path("way"));
        EXPECT_EQ(make_subvolume(path("way"), "sub"), 0);
        write(path("way/sub/deep/file"), "named");
        write(path("way/sub/other/file"), "not named");
        std::filesystem::create_symlink("deep/file", path("way/sub/link"));
    }
    // As whoever owns the subvolume, which needs no privilege.
    void make_snapshot() const {
        Child somebody([this] {
            if (::setresgid(kSomebody, kSomebody, kSomebody) != 0) return 1;
            if (::setresuid(kSomebody, kSomebody, kSomebody) != 0) return 1;
            if (::access(path("keys/secret").c_str(), R_OK) == 0) return 2;
            return make_subvolume(system_.path("export"), "snap", system_.path("export")) == 0 ? 0 : 3;
        });
        ASSERT_EQ(somebody.wait(), 0);
    }
    [[nodiscard]] std::string path(const std::string& name) const { return system_.path("export/" + name); }
    [[nodiscard]] std::string open(HostClient& host, const std::string& name,
                                   const std::string& mode = "r") const {
        return desc_of(host.ask(command(
            "guest-file-open", members({{"path", in_quotes(path(name))}, {"mode", in_quotes(mode)}}))));
    }
    LoopFs system_{{.type = "btrfs", .size = 160UL << 20U}};
};

TEST_F(Subvolumes, ASnapshotShowsNothingBesideADenyRule) {
    Agent agent({.policy = std::string(kRules) + kDenial});
    ASSERT_TRUE(agent.is_serving()) << agent.messages();
    make_snapshot();
    HostClient host = agent.connect();
    for (const char* name :
         {"snap/keys/secret", "snap/keys/none", "snap/keys/none/none", "snap/none/none", "snap/pub",
          "keys/secret", "way/sub/other/file", "way/sub/other/none", "way/sub/none/none"})
        for (const char* mode : {"r", "w", "a"})
            EXPECT_NE(open(host, name, mode).find("Operation not permitted"), std::string::npos)
                << name << " " << mode;
    EXPECT_EQ(open(host, "pub"), "");
    EXPECT_EQ(open(host, "new", "w"), "");
    // A rule names this directory of a subvolume.
    EXPECT_EQ(open(host, "way/sub/deep/file"), "");
    EXPECT_NE(open(host, "way/sub/deep/none").find("No such file"), std::string::npos);
    EXPECT_NE(open(host, "way/sub/deep/none/none").find("No such file"), std::string::npos);
    EXPECT_FALSE(std::filesystem::exists(path("snap/new")));
    EXPECT_EQ(agent.stop(), 0);
}

TEST_F(Subvolumes, AreOpenedAsAnythingElseWhereNothingIsDenied) {
    Agent agent({.policy = kRules});
    ASSERT_TRUE(agent.is_serving()) << agent.messages();
    make_snapshot();
    HostClient host = agent.connect();
    for (const char* name : {"snap/keys/secret", "snap/pub", "way/sub/other/file", "way/sub/deep/file"})
        EXPECT_EQ(open(host, name), "") << name;
    EXPECT_EQ(agent.stop(), 0);
}

// Its layers lie on two file systems, so that it makes up its inode numbers.
class Overlay {
public:
    explicit Overlay(const LoopFs& upper) {
        for (const std::string& folder :
             {std::string("/mnt/lower"), kPoint, upper.path("upper"), upper.path("work")})
            std::filesystem::create_directory(folder);
        EXPECT_EQ(::mount("none", "/mnt/lower", "tmpfs", 0, nullptr), 0);
        std::filesystem::create_directory("/mnt/lower/export");
        const std::string layers =
            "lowerdir=/mnt/lower,upperdir=" + upper.path("upper") + ",workdir=" + upper.path("work");
        EXPECT_EQ(::mount("none", kPoint.c_str(), "overlay", 0, layers.c_str()), 0);
    }
    Overlay(const Overlay&) = delete;
    Overlay& operator=(const Overlay&) = delete;
    ~Overlay() {
        EXPECT_EQ(::umount2(kPoint.c_str(), 0), 0);
        EXPECT_EQ(::umount2("/mnt/lower", 0), 0);
    }
    static inline const std::string kPoint = "/mnt/over";
};

// What nobody holds leaves the cache, as it does when memory is short.
void forget_inodes() {
    for (int times = 0; times < 2; ++times) {
        ::sync();
        std::ofstream("/proc/sys/vm/drop_caches") << "2" << std::flush;
    }
}

TEST(NumbersThatAreNotKept, ADeniedDirectoryThatWasRenamedStaysDenied) {
    const LoopFs upper({});
    const Overlay overlay(upper);
    write(Overlay::kPoint + "/export/keys/secret", "secret");
    write(Overlay::kPoint + "/export/other/file", "file");
    Agent agent({.policy = R"(schema = 1
[[allow]]
id = "work"
commands = ["@file"]
files = [{ under = "/mnt/over/export", access = ["read"] }]
[[deny]]
id = "keys"
files = [{ under = "/mnt/over/export/keys" }]
)"});
    ASSERT_TRUE(agent.is_serving()) << agent.messages();
    std::filesystem::rename(Overlay::kPoint + "/export/keys", Overlay::kPoint + "/export/renamed");
    std::filesystem::rename(Overlay::kPoint + "/export/other", Overlay::kPoint + "/export/moved");
    struct stat before{};
    struct stat after{};
    ASSERT_EQ(::stat((Overlay::kPoint + "/export/moved").c_str(), &before), 0);
    forget_inodes();
    ASSERT_EQ(::stat((Overlay::kPoint + "/export/moved").c_str(), &after), 0);
    ASSERT_NE(before.st_ino, after.st_ino) << "this file system keeps its numbers";
    HostClient host = agent.connect();
    const auto open = [&](const std::string& name) {
        return desc_of(host.ask(
            command("guest-file-open", members({{"path", in_quotes(Overlay::kPoint + "/export/" + name)}}))));
    };
    EXPECT_NE(open("renamed/secret").find("Operation not permitted"), std::string::npos);
    EXPECT_EQ(open("moved/file"), "");
    EXPECT_EQ(agent.stop(), 0);
}

// What keeps its numbers is not held.
TEST(NumbersThatAreKept, ADeniedDirectoryKeepsNoDiskBusy) {
    for (const char* type : {"ext4", "btrfs"}) {
        const LoopFs disk({.type = type, .size = 160UL << 20U});
        write(disk.path("keys/secret"), "secret");
        std::filesystem::create_directories("/mnt/again");
        ASSERT_EQ(::mount(disk.device().c_str(), "/mnt/again", type, 0, nullptr), 0);
        Agent agent({.policy = R"(schema = 1
[[allow]]
id = "work"
commands = ["@file"]
files = [{ under = "/mnt/again", access = ["read"] }]
[[deny]]
id = "keys"
files = [{ under = "/mnt/again/keys" }]
)"});
        ASSERT_TRUE(agent.is_serving()) << agent.messages();
        EXPECT_EQ(::umount2("/mnt/again", 0), 0) << type;
        EXPECT_EQ(agent.stop(), 0);
    }
}

}  // namespace
}  // namespace sallyport::test
