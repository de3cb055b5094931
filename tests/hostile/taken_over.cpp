#include "tests/hostile/taken_over.hpp"

#include <sys/stat.h>

#include <filesystem>
#include <map>

#include "tests/support/audit.hpp"

namespace sallyport::test {

namespace fs = std::filesystem;

namespace {

void prepare(const Scratch& scratch) {
    scratch.write("outside/file", "outside");
    scratch.write("work/file", "contents");
    scratch.write("work/large", std::string(3 << 20, 'L'));
    scratch.make_folder("work/folder");
    fs::create_symlink(scratch.path("outside/file"), scratch.path("work/link"));
    fs::create_symlink(scratch.path("outside"), scratch.path("work/linked"));
    fs::create_symlink("/proc/self/root", scratch.path("work/magic"));
    fs::create_hard_link(scratch.path("outside/file"), scratch.path("work/hard"));
    ::mkfifo(scratch.path("work/fifo").c_str(), 0644);
}

}  // namespace

std::unique_ptr<PuppetTree> TakenOver::tree_;

TakenOver::TakenOver(const char* policy)
    : agent_({.policy = policy, .prepare = prepare, .root = tree_->root()}),
      puppet_(agent_),
      descriptors_(count_descriptors(agent_.broker().pid())),
      files_(list_files()) {}

std::string TakenOver::list_files() const {
    std::map<std::string, std::string> found;
    for (const char* folder : {"work", "outside"})
        for (const auto& entry : fs::recursive_directory_iterator(path(folder))) {
            const bool is_file = entry.symlink_status().type() == fs::file_type::regular;
            found[entry.path()] =
                is_file ? std::to_string(std::hash<std::string>{}(read_file(entry.path()))) : "";
        }
    std::string text;
    for (const auto& [name, hash] : found) text += name + " " + hash + "\n";
    return text;
}

void TakenOver::expect_nothing_happened() {
    EXPECT_EQ(list_files(), files_);
    EXPECT_TRUE(eventually([this] { return count_descriptors(agent_.broker().pid()) == descriptors_; }))
        << count_descriptors(agent_.broker().pid()) << " descriptors, before " << descriptors_;
    EXPECT_EQ(first_broken_link(audit_lines(agent_.audit_file())), -1);
    EXPECT_EQ(agent_.workers().size(), 1U);
}

void TakenOver::expect_violation() {
    const pid_t broker = agent_.broker().pid();
    ASSERT_TRUE(puppet_.is_replaced()) << agent_.messages();
    EXPECT_EQ(agent_.count_audit("verdict", "violation"), 1U);
    EXPECT_EQ(puppet_.ask(wire::file_flush(1, 1)).error().reason(), ipc::BAD_HANDLE);
    EXPECT_TRUE(is_running(broker));
    expect_nothing_happened();
}

void TakenOver::expect_refused(const ipc::Reply& reply, ipc::Reason reason, std::uint64_t next_seq) {
    EXPECT_EQ(reply.result_case(), ipc::Reply::kError);
    EXPECT_EQ(reply.error().reason(), reason);
    EXPECT_FALSE(reply.has_data());
    EXPECT_EQ(agent_.count_audit("verdict", "violation"), 0U);
    EXPECT_EQ(puppet_.ask(wire::file_flush(next_seq, 1)).error().reason(), ipc::BAD_HANDLE);
    expect_nothing_happened();
}

std::int64_t TakenOver::open(std::uint64_t seq, const std::string& name, const std::string& mode) {
    return puppet_.ask(wire::file_open(seq, path("work/" + name), mode)).file_open().handle();
}

}  // namespace sallyport::test
