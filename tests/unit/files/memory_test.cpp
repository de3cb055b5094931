// What is denied and was renamed while no agent ran.
#include <fcntl.h>

#include <filesystem>
#include <fstream>

#include "broker/files/memory.hpp"
#include "ipc/limits.hpp"
#include "tests/unit/files/room.hpp"

namespace sallyport::files {
namespace {

namespace fs = std::filesystem;

class OverRuns : public Room {
protected:
    OverRuns() {
        fs::create_directory(path("state"));
        state_ = UniqueFd(::open(path("state").c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC));
        scratch_.write("in/keys/sub/key", "secret");
        scratch_.write("in/file", "file");
        allow("in", kAll);
        deny("in/keys");
    }
    void run_again() {
        table_.reset();
        ASSERT_TRUE(start());
    }
    /// The next thing under the denied name is another.
    void replace(const std::string& aside) {
        fs::rename(path("in/keys"), path("in/" + aside));
        scratch_.write("in/keys/sub/key", "new");
    }
    [[nodiscard]] std::string memory_file() const { return path("state/sallyport.denied"); }
    /// Follows the numbers that a file system gives, so that the same is given twice.
    [[nodiscard]] Id id_of(const std::string& name) const { return look_at_path(path(name))->id; }
};

TEST_F(OverRuns, WhatWasRenamedBetweenTwoOfThemIsDenied) {
    run_again();
    replace("other");
    run_again();
    EXPECT_EQ(open("in/other/sub/key"), "refused");
    EXPECT_EQ(open("in/other/new", "w"), "refused");
    EXPECT_EQ(open("in/keys/sub/key"), "refused");
    EXPECT_EQ(open("in/file"), "=file");
}

TEST_F(OverRuns, AllThingsAreDeniedThatTheNameHasHad) {
    for (const char* aside : {"first", "second", "third"}) {
        run_again();
        replace(aside);
    }
    fs::remove_all(path("in/keys"));
    run_again();
    run_again();
    for (const char* aside : {"first", "second", "third"})
        EXPECT_EQ(open("in/" + std::string(aside) + "/sub/key"), "refused") << aside;
}

TEST_F(OverRuns, OnlyTheLatestAreKept) {
    Earlier earlier;
    for (std::uint64_t inode = 1; inode <= kMaxEarlier + 1; ++inode)
        add_to(earlier, {.inode = inode, .made_ns = 1});
    EXPECT_EQ(earlier.size(), kMaxEarlier);
    EXPECT_FALSE(was_once(earlier, {.inode = 1, .made_ns = 1}));
    EXPECT_TRUE(was_once(earlier, {.inode = 2, .made_ns = 1}));
}

TEST_F(OverRuns, ANumberThatWasGivenAwayAgainIsNotThatThing) {
    const Earlier earlier{{.inode = 7, .ns = 100}};
    EXPECT_TRUE(was_once(earlier, {.device = 5, .inode = 7, .made_ns = 100}))
        << "whatever its disk is called now";
    EXPECT_FALSE(was_once(earlier, {.inode = 7, .made_ns = 101}));
    EXPECT_FALSE(was_once({{.inode = 7, .ns = 0}}, {.inode = 7})) << "of a file system that does not say";
}

TEST_F(OverRuns, ARuleThatIsGoneIsForgotten) {
    run_again();
    replace("other");
    const policy::Rule rule = policy_.rules.back();
    policy_.rules.pop_back();
    run_again();
    EXPECT_EQ(open("in/other/sub/key"), "=secret");
    policy_.rules.push_back(rule);
    run_again();
    EXPECT_EQ(open("in/other/sub/key"), "=secret");
    EXPECT_EQ(open("in/keys/sub/key"), "refused");
}

TEST_F(OverRuns, TheFileIsWrittenOnlyWhenSomethingIsNew) {
    run_again();
    const Id first = id_of("state/sallyport.denied");
    run_again();
    EXPECT_EQ(id_of("state/sallyport.denied"), first);
    replace("other");
    run_again();
    EXPECT_NE(id_of("state/sallyport.denied"), first);
    EXPECT_FALSE(fs::exists(path("state/sallyport.denied.new")));
}

TEST_F(OverRuns, AFileThatNoAgentWroteStopsTheStart) {
    std::ofstream(memory_file()) << "text";
    EXPECT_FALSE(start());
}

TEST_F(OverRuns, MoreThanAStartReadsIsNotWritten) {
    ASSERT_TRUE(write_memory(state_, {{"/a", {{1, 1}}}}));
    const std::string path(kMaxPath, 'p');
    Memory large;
    for (std::size_t at = 0; at <= kMaxFilesSetup / kMaxPath; ++at)
        large[path + std::to_string(at)] = {{1, 1}};
    EXPECT_FALSE(write_memory(state_, large));
    const auto memory = read_memory(state_);
    ASSERT_TRUE(memory);
    EXPECT_TRUE(memory->contains("/a"));
}

TEST_F(OverRuns, ADiskThatTakesNothingDoesNotStopTheStart) {
    fs::create_directory(path("state/sallyport.denied.new"));
    run_again();
    EXPECT_EQ(table_->not_kept(), EISDIR);
    EXPECT_EQ(open("in/keys/sub/key"), "refused");
}

}  // namespace
}  // namespace sallyport::files
