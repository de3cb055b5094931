// Mounts and trees that come, change and go while a whole agent runs, in mounts of this program's own.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <linux/auto_fs.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <unistd.h>

#include <array>
#include <filesystem>
#include <fstream>
#include <memory>
#include <string>
#include <vector>

#include "tests/support/agent.hpp"
#include "tests/support/process.hpp"

namespace sallyport::test {
namespace {

namespace fs = std::filesystem;

constexpr const char* kPolicy = R"(schema = 1
[[allow]]
id = "in"
commands = ["@file"]
files = [{ under = "$D/in", access = ["read", "write", "create"] }]
)";

class Mounts : public testing::Test {
protected:
    static void SetUpTestSuite() {
        ASSERT_EQ(::unshare(CLONE_NEWNS), 0);
        ASSERT_EQ(::mount(nullptr, "/", nullptr, MS_REC | MS_PRIVATE, nullptr), 0);
    }
    explicit Mounts(AgentOptions options = {.policy = kPolicy,
                                            .prepare =
                                                [](const Scratch& scratch) {
                                                    scratch.write("in/file", "below the mount");
                                                    scratch.write("other/file", "other");
                                                }})
        : agent_(std::move(options)), host_(agent_.connect()) {}
    ~Mounts() override {
        for (auto at = mounted_.rbegin(); at != mounted_.rend(); ++at) ::umount2(at->c_str(), MNT_DETACH);
    }

    [[nodiscard]] std::string path(const std::string& name) const { return agent_.scratch().path(name); }
    void mount(const std::string& what, const std::string& where, const char* type, unsigned long flags = 0) {
        ASSERT_EQ(::mount(what.c_str(), path(where).c_str(), type, flags, nullptr), 0) << where;
        mounted_.push_back(path(where));
    }
    void mount_disk(const std::string& where, const std::string& contents) {
        mount("disk", where, "tmpfs");
        write(where + "/file", contents);
    }
    void write(const std::string& name, const std::string& contents) const {
        agent_.scratch().write(name, contents);
    }
    void remount(const std::string& where, unsigned long flags) {
        ASSERT_EQ(::mount(nullptr, path(where).c_str(), nullptr, MS_REMOUNT | flags, nullptr), 0) << where;
    }

    static std::string open_request(const std::string& path, const std::string& mode) {
        return command("guest-file-open", members({{"path", in_quotes(path)}, {"mode", in_quotes(mode)}}));
    }
    std::int64_t open(const std::string& name, const std::string& mode = "r") {
        return handle_of(host_.ask(open_request(path(name), mode)));
    }
    // What the host is told of an open that fails, without the name.
    std::string refusal(const std::string& name, const std::string& mode) {
        const std::string desc = desc_of(host_.ask(open_request(path(name), mode)));
        const std::size_t colon = desc.rfind(": ");
        return colon == desc.npos ? desc : desc.substr(colon + 2);
    }
    std::string read(std::int64_t handle) {
        const auto got =
            result_of(host_.ask(command("guest-file-read", members({{"handle", std::to_string(handle)}}))));
        return from_base64(got.at("buf-b64").as_string().c_str());
    }
    void write_to(std::int64_t handle, const std::string& text) {
        for (const std::string& request :
             {command("guest-file-write",
                      members({{"handle", std::to_string(handle)}, {"buf-b64", in_quotes(base64(text))}})),
              command("guest-file-flush", members({{"handle", std::to_string(handle)}}))})
            EXPECT_EQ(desc_of(host_.ask(request)), "");
    }
    void close(std::int64_t handle) {
        EXPECT_EQ(host_.ask(command("guest-file-close", members({{"handle", std::to_string(handle)}}))),
                  "{\"return\": {}}");
    }
    std::string contents(const std::string& name) {
        const std::int64_t handle = open(name);
        std::string text = read(handle);
        close(handle);
        return text;
    }
    void make(const std::string& name, const std::string& text) {
        const std::int64_t handle = open(name, "w");
        write_to(handle, text);
        close(handle);
    }

    Agent agent_;
    HostClient host_;
    std::vector<std::string> mounted_;
};

TEST_F(Mounts, ADirectoryThatIsBindMountedLaterIsSeenAndWrittenTo) {
    EXPECT_EQ(contents("in/file"), "below the mount");
    mount(path("other"), "in", nullptr, MS_BIND);
    EXPECT_EQ(contents("in/file"), "other");
    make("in/new", "new");
    EXPECT_EQ(read_file(path("other/new")), "new");
    ASSERT_EQ(::umount(path("in").c_str()), 0);  // nothing keeps it busy
    EXPECT_FALSE(fs::exists(path("in/new")));
    EXPECT_EQ(contents("in/file"), "below the mount");
    EXPECT_EQ(refusal("in/new", "r"), "No such file or directory");
}

TEST_F(Mounts, AFileThatIsBindMountedLaterIsWhatItsNameMeans) {
    mount(path("other/file"), "in/file", nullptr, MS_BIND);
    EXPECT_EQ(contents("in/file"), "other");
}

TEST_F(Mounts, AfterAReadOnlyRemountWritingIsErofsAndReadingGoesOn) {
    mount_disk("in", "0123456789");
    const std::int64_t held = open("in/file");
    remount("in", MS_RDONLY);
    for (const char* mode : {"w", "r+", "a"})
        EXPECT_EQ(refusal("in/file", mode), "Read-only file system") << mode;
    for (const char* mode : {"w", "a"}) EXPECT_EQ(refusal("in/new", mode), "Read-only file system") << mode;
    EXPECT_EQ(read(held), "0123456789");
    EXPECT_EQ(contents("in/file"), "0123456789");
    EXPECT_FALSE(fs::exists(path("in/new")));
    remount("in", 0);
    make("in/new", "new");
    EXPECT_EQ(read_file(path("in/new")), "new");
}

TEST_F(Mounts, ABindMountThatBecomesReadOnlyIsErofsAndWhatIsOpenForWritingKeepsItWritable) {
    mount(path("other"), "in", nullptr, MS_BIND);
    const std::int64_t held = open("in/file", "r+");
    EXPECT_EQ(::mount(nullptr, path("in").c_str(), nullptr, MS_REMOUNT | MS_BIND | MS_RDONLY, nullptr), -1);
    close(held);
    remount("in", MS_BIND | MS_RDONLY);
    EXPECT_EQ(refusal("in/file", "r+"), "Read-only file system");
    EXPECT_EQ(refusal("in/new", "w"), "Read-only file system");
    EXPECT_EQ(contents("in/file"), "other");
    EXPECT_FALSE(fs::exists(path("other/new")));
}

TEST_F(Mounts, ATreeThatIsDeletedAndMadeAgainIsSeenAndAnOpenFileStaysTheOldOne) {
    write("in/deep/file", "old and long");
    const std::int64_t read_from = open("in/deep/file");
    const std::int64_t written_to = open("in/deep/file", "r+");
    fs::remove_all(path("in"));
    EXPECT_EQ(refusal("in/deep/file", "r"), "No such file or directory");
    EXPECT_EQ(refusal("in/deep/new", "w"), "No such file or directory");
    write("in/deep/file", "new");
    write_to(written_to, "OLD");
    EXPECT_EQ(read(read_from), "OLD and long");
    EXPECT_EQ(contents("in/deep/file"), "new");
    EXPECT_EQ(read_file(path("in/deep/file")), "new");
    make("in/deep/made", "made");
    EXPECT_EQ(read_file(path("in/deep/made")), "made");
}

TEST_F(Mounts, ADiskThatIsChangedByALazyUnmountIsSeenAndAnOpenFileStaysOnTheOldOne) {
    mount_disk("in", "first disk");
    const std::int64_t read_from = open("in/file");
    const std::int64_t written_to = open("in/file", "r+");
    ASSERT_EQ(::umount2(path("in").c_str(), MNT_DETACH), 0);
    EXPECT_EQ(contents("in/file"), "below the mount");
    mount_disk("in", "second disk");
    EXPECT_EQ(contents("in/file"), "second disk");
    write_to(written_to, "FIRST");
    EXPECT_EQ(read(read_from), "FIRST disk");
    make("in/new", "new");
    EXPECT_EQ(read_file(path("in/new")), "new");
    EXPECT_EQ(read_file(path("in/file")), "second disk");
    ASSERT_EQ(::umount(path("in").c_str()), 0);  // the files that are open keep the first disk, not this one
    EXPECT_FALSE(fs::exists(path("in/new")));
    EXPECT_EQ(read_file(path("in/file")), "below the mount");
    EXPECT_EQ(read(read_from), "");
}

// An automount point whose automounter is a child of this test, in a process group of its own, as the kernel asks for.
class Automounter {
public:
    enum class Answers { kByMounting, kByFailing };
    Automounter(const std::string& point, const std::string& kind, Answers answers) {
        std::array<int, 2> ends{};
        if (::pipe2(ends.data(), O_CLOEXEC | O_DIRECT) != 0) throw std::runtime_error("pipe2");
        const UniqueFd asked(ends[0]);
        const UniqueFd asks(ends[1]);
        child_ = std::make_unique<Child>([&] {
            ::close(asks.get());
            return ::setpgid(0, 0) == 0 ? serve(asked.get(), point, answers) : 1;
        });
        ::setpgid(child_->pid(), child_->pid());  // whichever of us comes first
        const std::string options = "fd=" + std::to_string(asks.get()) +
                                    ",pgrp=" + std::to_string(child_->pid()) + ",minproto=5,maxproto=5," +
                                    kind;
        if (::mount("automount", point.c_str(), "autofs", 0, options.c_str()) != 0)
            throw std::runtime_error("mount autofs: errno " + std::to_string(errno));
    }

private:
    // Answers until the kernel asks no more.
    static int serve(int asked, const std::string& point, Answers answers) {
        autofs_v5_packet packet{};
        while (::read(asked, &packet, sizeof packet) > 0) {
            const int directory = ::open(point.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
            const bool is_direct = packet.hdr.type == autofs_ptype_missing_direct;
            const bool mounts =
                answers == Answers::kByMounting && mount_disk(is_direct ? point : point + "/" + packet.name);
            if (::ioctl(directory, mounts ? AUTOFS_IOC_READY : AUTOFS_IOC_FAIL, packet.wait_queue_token) != 0)
                return 2;
            ::close(directory);
        }
        return 0;
    }
    static bool mount_disk(const std::string& where) {
        std::error_code error;
        fs::create_directory(where, error);
        if (::mount("automounted", where.c_str(), "tmpfs", 0, nullptr) != 0) return false;
        std::ofstream(where + "/file") << "automounted";
        return true;
    }
    std::unique_ptr<Child> child_;
};

// None, where the kernel has no autofs.
std::vector<std::string> kinds_of_automount() {
    if (read_file("/proc/filesystems").find("\tautofs\n") == std::string::npos) return {};
    return {"indirect", "direct"};
}

// The rule is about a directory that the automounter makes, or about where it mounts; both were there at the start.
constexpr const char* kDenial = R"([[deny]]
id = "keys"
files = [{ under = "$D/in/other/keys" }]
)";

class Automounts : public Mounts, public testing::WithParamInterface<std::string> {
protected:
    Automounts()
        : Mounts({.policy = std::string(kPolicy) + kDenial, .prepare = [](const Scratch& scratch) {
                      scratch.make_folder("in");
                      scratch.make_folder("in/nothing");
                  }}) {}
    void start(Automounter::Answers answers) {
        const bool is_direct = GetParam() == "direct";
        folder_ = is_direct ? "in" : "in/disk";
        mounted_.push_back(path("in"));
        automounter_ = std::make_unique<Automounter>(path("in"), GetParam(), answers);
        if (answers == Automounter::Answers::kByMounting) mounted_.push_back(path(folder_));
    }
    std::unique_ptr<Automounter> automounter_;
    std::string folder_;
};

TEST_P(Automounts, AppearWhenTheHostAsksForTheirPath) {
    start(Automounter::Answers::kByMounting);
    EXPECT_EQ(contents(folder_ + "/file"), "automounted");
    make(folder_ + "/new", "new");
    EXPECT_EQ(read_file(path(folder_ + "/new")), "new");
    ASSERT_EQ(::umount(path(folder_).c_str()), 0);  // as the automounter does later
    EXPECT_EQ(contents(folder_ + "/file"), "automounted");
    EXPECT_EQ(refusal(folder_ + "/new", "r"), "No such file or directory");
}

TEST_P(Automounts, AppearForANewFileToo) {
    start(Automounter::Answers::kByMounting);
    make(folder_ + "/new", "new");
    EXPECT_EQ(read_file(path(folder_ + "/new")), "new");
    EXPECT_EQ(read_file(path(folder_ + "/file")), "automounted");
}

TEST_P(Automounts, OfWhatIsDeniedAreNotSetOffByAnOpenBesideIt) {
    start(Automounter::Answers::kByMounting);
    EXPECT_EQ(contents(folder_ + "/file"), "automounted");
    make(folder_ + "/new", "new");
    for (const auto& entry : fs::directory_iterator(path("in"))) EXPECT_NE(entry.path().filename(), "other");
}

TEST_P(Automounts, ThatCannotBeMountedAreAnErrorAndTheAgentGoesOn) {
    start(Automounter::Answers::kByFailing);
    EXPECT_EQ(refusal(folder_ + "/file", "r"), "No such file or directory");
    EXPECT_EQ(refusal(folder_ + "/new", "w"), "No such file or directory");
    EXPECT_EQ(host_.ask(command("guest-ping")), "{\"return\": {}}");
}

INSTANTIATE_TEST_SUITE_P(, Automounts, testing::ValuesIn(kinds_of_automount()),
                         [](const auto& kind) { return kind.param; });
GTEST_ALLOW_UNINSTANTIATED_PARAMETERIZED_TEST(Automounts);

}  // namespace
}  // namespace sallyport::test
