// A local user who acts between two steps of an open. Each attack is made before each system call in turn, so that every moment at
// which it could matter is met, and none by luck.
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cstring>
#include <filesystem>
#include <functional>

#include "tests/support/between_calls.hpp"
#include "tests/support/process.hpp"
#include "tests/unit/files/room.hpp"

namespace sallyport::files {
namespace {

namespace fs = std::filesystem;

constexpr uid_t kSomebody = 12345;
constexpr int kRaces = 20'000;

struct Attack {
    const char* name;
    const char* asked;
    const char* mode;
    const char* undisturbed;  // the answer if nobody acts
    void (*prepare)(const test::Scratch& tree);
    std::function<void(const test::Scratch& tree)> first;
    std::function<void(const test::Scratch& tree)> then = nullptr;  // at every later step, too
    const char* untold = "=secret";                                 // an answer that would tell what exists
};

void exchange(const std::string& one, const std::string& other) {
    ::syscall(SYS_renameat2, AT_FDCWD, one.c_str(), AT_FDCWD, other.c_str(), RENAME_EXCHANGE);
}

void rename(const test::Scratch& tree, const char* from, const char* to) {
    ::rename(tree.path(from).c_str(), tree.path(to).c_str());
}

// At some steps there is something in the way already.
void second_name(const test::Scratch& tree, const char* from, const char* to) {
    std::error_code ignored;
    fs::create_hard_link(tree.path(from), tree.path(to), ignored);
}

void open_as_somebody(const test::Scratch& tree) {
    if (::seteuid(kSomebody) != 0) throw std::runtime_error("seteuid");
    const UniqueFd opened(::open(tree.path("in/new").c_str(), O_RDONLY | O_CLOEXEC));
    if (::seteuid(0) != 0) throw std::runtime_error("seteuid");
    if (opened.is_open()) tree.write("opened-by-somebody", "");
}

void link(const test::Scratch& tree, const char* to, const char* name) {
    std::error_code ignored;
    fs::create_symlink(tree.path(to), tree.path(name), ignored);
}

class BetweenCalls : public Room, public testing::WithParamInterface<Attack> {
protected:
    void lay_out() {
        fs::remove_all(path("in"));
        fs::remove_all(path("out"));
        fs::remove_all(path("stage"));
        scratch_.write("in/file", "file");
        scratch_.write("in/deep/key", "harmless");
        scratch_.write("in/keys/key", "secret");
        scratch_.write("out/key", "secret");
        scratch_.write("other/key", "other");
        scratch_.make_folder("stage");
        GetParam().prepare(scratch_);
    }
    // Reads, or writes what would be seen if it got into a file.
    std::string use() {
        const std::string mode = GetParam().mode;
        if (mode == "r") return open(GetParam().asked);
        const auto opened = ask(GetParam().asked, mode);
        if (!opened)
            return opened.error().sys_errno == 0 ? "refused" : ::strerrorname_np(opened.error().sys_errno);
        return ::write(opened->fd.get(), "host", 4) == 4 ? "written" : "not written";
    }
    // Both secrets are still somewhere, nothing was made beside them, and nothing was written to what is not the rule's.
    void expect_unharmed() {
        int secrets = 0;
        for (const auto& entry : fs::recursive_directory_iterator(scratch_.path())) {
            struct stat info{};
            ASSERT_EQ(::lstat(entry.path().c_str(), &info), 0);
            if (!S_ISREG(info.st_mode)) continue;
            const std::string text = test::read_file(entry.path());
            const bool is_ours = info.st_uid == 0 && info.st_nlink == 1;
            EXPECT_TRUE(is_ours || text.find("host") == text.npos) << entry.path();
            if (entry.path().filename() != "key" || text != "secret") continue;
            ++secrets;
            EXPECT_FALSE(fs::exists(entry.path().parent_path() / "new")) << entry.path();
        }
        EXPECT_EQ(secrets, 2);
        EXPECT_FALSE(fs::exists(path("opened-by-somebody")));
    }
    // The agent starts in the process that is stepped: what it knows of itself is not ours.
    test::Stepped step(const std::map<std::size_t, std::function<void()>>& acts) {
        lay_out();
        table_.reset();
        return test::step_through([this] { EXPECT_TRUE(start()); }, [this] { return use(); }, acts);
    }
    void attack(const std::map<std::size_t, std::function<void()>>& acts, std::size_t& calls) {
        const test::Stepped stepped = step(acts);
        EXPECT_NE(stepped.answer, "=secret") << "attacked before call " << acts.begin()->first;
        EXPECT_NE(stepped.answer, GetParam().untold) << "attacked before call " << acts.begin()->first;
        EXPECT_NE(stepped.answer, "") << "attacked before call " << acts.begin()->first;
        expect_unharmed();
        calls = stepped.calls;
    }
};

TEST_P(BetweenCalls, NoAttackAtAnyStepOpensWhatTheRuleDoesNot) {
    policy::FileRule& rule = allow("in", kAll);
    rule.owners = {0};
    rule.follow_symlinks = true;
    allow("other");
    deny("in/keys");
    EXPECT_EQ(step({}).answer, GetParam().undisturbed);
    const auto act = [this](const auto& what) { return [this, &what] { what(scratch_); }; };
    std::size_t calls = 1;
    for (std::size_t at = 0; at < calls && !HasFailure(); ++at) {
        if (!GetParam().then) {
            attack({{at, act(GetParam().first)}}, calls);
            continue;
        }
        for (std::size_t later = at + 1; later <= calls && !HasFailure(); ++later)
            attack({{at, act(GetParam().first)}, {later, act(GetParam().then)}}, calls);
    }
    EXPECT_GT(calls, 10U);
}

void nothing(const test::Scratch&) {}

// clang-format off
const Attack kAttacks[] = {
    {"SecondNameIsTakenAway", "in/l", "r", "refused",
     [](const auto& tree) { fs::create_hard_link(tree.path("out/key"), tree.path("in/l")); },
     [](const auto& tree) { ::unlink(tree.path("in/l").c_str()); }},
    {"SecondNameIsTakenAwayBeforeWriting", "in/l", "r+", "refused",
     [](const auto& tree) { fs::create_hard_link(tree.path("out/key"), tree.path("in/l")); },
     [](const auto& tree) { ::unlink(tree.path("in/l").c_str()); }},
    {"SecondNameIsTakenAwayBeforeItIsCutShort", "in/l", "w", "refused",
     [](const auto& tree) { fs::create_hard_link(tree.path("out/key"), tree.path("in/l")); },
     [](const auto& tree) { ::unlink(tree.path("in/l").c_str()); }},
    {"SecondNameTakesThePlaceOfTheFileAndGoes", "in/file", "r", "=file",
     [](const auto& tree) { fs::create_hard_link(tree.path("out/key"), tree.path("stage/l")); },
     [](const auto& tree) { rename(tree, "stage/l", "in/file"); },
     [](const auto& tree) { ::unlink(tree.path("in/file").c_str()); }},
    {"LinkTakesThePlaceOfTheFile", "in/file", "r", "=file",
     [](const auto& tree) { fs::create_symlink(tree.path("out/key"), tree.path("stage/l")); },
     [](const auto& tree) { rename(tree, "stage/l", "in/file"); }},
    {"LinkTakesThePlaceOfTheDirectory", "in/deep/key", "r", "=harmless",
     [](const auto& tree) { fs::create_symlink(tree.path("out"), tree.path("stage/l")); },
     [](const auto& tree) { exchange(tree.path("in/deep"), tree.path("stage/l")); }},
    {"LinkTakesThePlaceOfTheRulesDirectory", "in/key", "r", "ENOENT",
     [](const auto& tree) { fs::create_symlink(tree.path("out"), tree.path("stage/l")); },
     [](const auto& tree) { exchange(tree.path("in"), tree.path("stage/l")); },
     [](const auto& tree) { exchange(tree.path("in"), tree.path("stage/l")); }},
    {"DeniedDirectoryTakesThePlaceOfAnother", "in/deep/key", "r", "=harmless", nothing,
     [](const auto& tree) { exchange(tree.path("in/deep"), tree.path("in/keys")); }},
    {"DeniedDirectoryIsMovedInAndBack", "in/deep/key", "r", "=harmless", nothing,
     [](const auto& tree) { exchange(tree.path("in/deep"), tree.path("in/keys")); },
     [](const auto& tree) { exchange(tree.path("in/deep"), tree.path("in/keys")); }},
    {"LinkIsTurned", "in/l", "r", "=other",
     [](const auto& tree) {
         fs::create_symlink(tree.path("other/key"), tree.path("in/l"));
         fs::create_symlink(tree.path("out/key"), tree.path("stage/l"));
     },
     [](const auto& tree) { rename(tree, "stage/l", "in/l"); }},
    {"DirectoryOfALinkIsMovedIntoWhatIsDenied", "in/deep/l", "r", "ENOENT",
     [](const auto& tree) { fs::create_symlink("../key", tree.path("in/deep/l")); },
     [](const auto& tree) { rename(tree, "in/deep", "in/keys/deep"); }},
    {"DirectoryOfALinkIsExchangedForOneInWhatIsDenied", "in/deep/l", "r", "=file",
     [](const auto& tree) {
         tree.make_folder("in/keys/deep");
         tree.write("in/folder/file", "file");
         for (const char* name : {"in/deep/l", "in/keys/deep/l"})
             fs::create_symlink("../folder/file", tree.path(name));
     },
     [](const auto& tree) { exchange(tree.path("in/deep"), tree.path("in/keys/deep")); }, nullptr, "ENOENT"},
    {"SecondNameAppearsWhereAFileIsMade", "in/new", "w", "written", nothing,
     [](const auto& tree) { second_name(tree, "out/key", "in/new"); }},
    {"SecondNameAppearsWhereAFileIsAppendedTo", "in/new", "a", "written", nothing,
     [](const auto& tree) { second_name(tree, "out/key", "in/new"); }},
    {"SomebodyOpensAFileThatIsBeingMade", "in/new", "w", "written", nothing, open_as_somebody},
    {"FileAppearsWhereAFileIsMade", "in/new", "w", "written", nothing,
     [](const auto& tree) {
         if (!fs::exists(tree.path("in/new"))) tree.write("in/new", "");
     }, nullptr, "EEXIST"},
    {"FileOfSomebodyAppearsWhereAFileIsMade", "in/new", "w", "written",
     [](const auto& tree) {
         const std::string theirs = tree.write("stage/new", "theirs");
         if (::chown(theirs.c_str(), kSomebody, kSomebody) != 0) throw std::runtime_error("chown");
     },
     [](const auto& tree) { rename(tree, "stage/new", "in/new"); }},
    {"LinkAppearsWhereAFileIsMade", "in/new", "w", "written", nothing,
     [](const auto& tree) { link(tree, "out/key", "in/new"); }},
    {"LinkToNothingAppearsWhereAFileIsMade", "in/new", "w", "written", nothing,
     [](const auto& tree) { link(tree, "out/new", "in/new"); }},
    {"DirectoryOfANewFileIsExchangedForADeniedOne", "in/deep/new", "w", "written", nothing,
     [](const auto& tree) { exchange(tree.path("in/deep"), tree.path("in/keys")); }},
    {"DirectoryOfANewFileIsExchangedForALink", "in/deep/new", "w", "written",
     [](const auto& tree) { fs::create_symlink(tree.path("out"), tree.path("stage/l")); },
     [](const auto& tree) { exchange(tree.path("in/deep"), tree.path("stage/l")); }},
};
// clang-format on
INSTANTIATE_TEST_SUITE_P(, BetweenCalls, testing::ValuesIn(kAttacks),
                         [](const auto& one) { return std::string(one.param.name); });

using AgentsOwn = Room;

// Nothing lies there yet when the agent starts and when the open begins: only the place where the file is found tells.
TEST_F(AgentsOwn, IsNotOpenedWhereAFileComesToLieThereMeanwhile) {
    allow("in", kAll);
    int refused = 0;
    std::size_t calls = 1;
    for (std::size_t at = 0; at < calls; ++at) {
        fs::remove_all(path("in"));
        scratch_.write("in/deep/file", "file");
        table_.reset();
        const test::Stepped stepped = test::step_through(
            [this] { EXPECT_TRUE(start({path("in/hooks")})); }, [this] { return open("in/deep/file"); },
            {{at, [this] { rename(scratch_, "in/deep", "in/hooks"); }}});
        if (stepped.answer == "refused") ++refused;
        calls = stepped.calls;
    }
    EXPECT_GT(refused, 0);
}

using Race = Room;

TEST_F(Race, ASecondNameThatComesAndGoesIsNeverOpened) {
    scratch_.write("out/key", "secret");
    scratch_.make_folder("in");
    allow("in");
    ASSERT_TRUE(start());
    const test::Child attacker([this] {
        for (;;) {
            second_name(scratch_, "out/key", "in/l");
            ::unlink(path("in/l").c_str());
        }
        return 0;
    });
    int found = 0;
    for (int race = 0; race < kRaces; ++race) {
        const std::string answer = open("in/l");
        ASSERT_NE(answer, "=secret") << "race " << race;
        if (answer == "refused") ++found;
    }
    EXPECT_GT(found, 0);
}

}  // namespace
}  // namespace sallyport::files
