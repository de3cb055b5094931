// A worker that was taken over asks for guest-exec and guest-exec-status: nothing is started but what a rule covers.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/mman.h>

#include <atomic>
#include <cerrno>
#include <filesystem>
#include <map>
#include <stdexcept>
#include <thread>

#include "ipc/limits.hpp"
#include "tests/hostile/taken_over.hpp"

namespace sallyport::test {
namespace {

constexpr const char* kPolicy = R"(schema = 1
[[allow]]
id = "work"
commands = ["@file"]
files = [{ under = "$D/work", access = ["read"] }]
[[allow]]
id = "touch"
commands = ["guest-exec"]
[[allow.exec]]
program = "/usr/bin/touch"
args = ["--", { under = "$D/work" }, { int = [1, 3] }]
run_as = "root"
host_env = ["A"]
)";

std::string strings(std::uint64_t field, const std::vector<std::string>& words) {
    std::string list;
    for (const std::string& word : words) list += wire::bytes(1, word);
    return wire::bytes(field, list);
}
std::string exec(std::uint64_t seq, const std::vector<std::string>& words, const std::string& more = "") {
    return wire::seq(seq) + wire::bytes(52, wire::bytes(1, "/usr/bin/touch") + strings(2, words) + more);
}
std::string mode(std::uint64_t value) {
    return wire::bytes(5, wire::number(2, value));
}
std::string exec_status(std::uint64_t seq, std::int64_t pid) {
    return wire::seq(seq) + wire::bytes(53, pid == 0 ? "" : wire::signed_number(1, pid));
}

class ExecOfATakenOverWorker : public TakenOver {
protected:
    ExecOfATakenOverWorker() : TakenOver(kPolicy) {}
    void TearDown() override {
        EXPECT_EQ(agent_.count_audit("what", "program-ended"), 0U);
        EXPECT_FALSE(std::filesystem::exists(path("work/made")));
    }
    std::vector<std::string> good() { return {"--", path("work/made"), "1"}; }
};

TEST_F(ExecOfATakenOverWorker, WordsThatNoRuleCoversAreRefused) {
    const std::string made = path("work/made");
    std::uint64_t seq = 1;
    for (const std::vector<std::string>& words : {std::vector<std::string>{},
                                                  {"--", made},
                                                  {"--", made, "1", "1"},
                                                  {"--", made, "4"},
                                                  {"--", made, "1\n"},
                                                  {"--", made, "01"},
                                                  {"--", made, "-1"},
                                                  {"--", "-d", "1"},
                                                  {"--", made + "/../../x", "1"},
                                                  {"--", made + std::string(1, '\0'), "1"},
                                                  {"--", made, std::string("1\0", 2)},
                                                  {"-d", made, "1"},
                                                  {"--", path("work"), "1"},
                                                  {"--", path("workshop"), "1"},
                                                  {made, "--", "1"},
                                                  {"-- " + made + " 1"}})
        EXPECT_EQ(puppet_.ask(exec(seq++, words)).error().reason(), ipc::REFUSED) << seq;
    EXPECT_EQ(puppet_.ask(exec(seq++, std::vector<std::string>(4096, "--"))).error().reason(), ipc::REFUSED);
    EXPECT_EQ(puppet_.ask(exec(seq++, good(), strings(3, {"LD_PRELOAD=/tmp/x"}))).error().reason(),
              ipc::REFUSED);
    EXPECT_EQ(puppet_.ask(exec(seq++, good(), strings(3, {"A=1", "A=2"}))).error().reason(), ipc::REFUSED);
    EXPECT_EQ(puppet_.ask(exec(seq++, good(), strings(3, {std::string("A=1\0", 4)}))).error().reason(),
              ipc::REFUSED);
    EXPECT_EQ(puppet_.ask(exec(seq++, good(), wire::bytes(4, ""))).error().reason(), ipc::REFUSED) << "input";
    expect_refused(puppet_.ask(exec(seq, {})), ipc::REFUSED, seq + 1);
}

TEST_F(ExecOfATakenOverWorker, EnvironmentOfAMebibyteInTheArenaIsRefused) {
    std::string list;
    for (int at = 0; at < 16; ++at) list += wire::bytes(1, "A=" + std::string(65'000, 'x'));
    const std::string message = wire::bytes(1, "/usr/bin/touch") + strings(2, good()) + wire::bytes(3, list);
    ASSERT_LE(message.size(), kArenaData);
    for (std::size_t at = 0; at < message.size(); at += 30'000)
        puppet_.write_arena(static_cast<std::uint32_t>(at), message.substr(at, 30'000));
    EXPECT_EQ(puppet_
                  .ask(wire::seq(1) + wire::bytes(2, wire::bulk(message.size(), 0, message.size())) +
                       wire::bytes(52, ""))
                  .error()
                  .reason(),
              ipc::REFUSED);
}

TEST_F(ExecOfATakenOverWorker, NumbersThatAreNobodysAreUnknown) {
    std::uint64_t seq = 1;
    for (const std::int64_t pid : {0L, 1L, -1L, 999L, 1000L, 1L << 40, 9223372036854775807L})
        EXPECT_EQ(puppet_.ask(exec_status(seq++, pid)).error().reason(), ipc::BAD_HANDLE) << pid;
}

TEST_F(ExecOfATakenOverWorker, CaptureThatIsNoneEndsIt) {
    puppet_.send(exec(1, good(), mode(6)));
    expect_violation();
}

TEST_F(ExecOfATakenOverWorker, CaptureInTheHostsFormEndsIt) {
    puppet_.send(exec(1, good(), wire::bytes(5, wire::number(1, 1))));
    expect_violation();
}

TEST_F(ExecOfATakenOverWorker, CaptureOfNothingEndsIt) {
    puppet_.send(exec(1, good(), wire::bytes(5, "")));
    expect_violation();
}

TEST_F(ExecOfATakenOverWorker, WordsInTheFrameAndInTheArenaEndIt) {
    puppet_.write_arena(0, wire::bytes(1, "/usr/bin/touch"));
    puppet_.send(wire::seq(1) + wire::bytes(2, wire::bulk(16, 0, 16)) +
                 wire::bytes(52, wire::bytes(1, "/usr/bin/touch")));
    expect_violation();
}

TEST_F(ExecOfATakenOverWorker, ArenaThatHoldsNoRequestEndsIt) {
    puppet_.write_arena(0, "\xff\xff\xff\xff");
    puppet_.send(wire::seq(1) + wire::bytes(2, wire::bulk(4, 0, 4)) + wire::bytes(52, ""));
    expect_violation();
}

TEST_F(ExecOfATakenOverWorker, ExtentOutsideTheArenaEndsIt) {
    puppet_.send(wire::seq(1) + wire::bytes(2, wire::bulk(2, kArenaData - 1, 2)) + wire::bytes(52, ""));
    expect_violation();
}

TEST_F(ExecOfATakenOverWorker, TotalThatIsNotTheExtentsEndsIt) {
    puppet_.send(wire::seq(1) + wire::bytes(2, wire::bulk(5, 0, 4)) + wire::bytes(52, ""));
    expect_violation();
}

TEST_F(ExecOfATakenOverWorker, BulkWithAStatusEndsIt) {
    puppet_.send(wire::seq(1) + wire::bytes(2, wire::bulk(1, 0, 1)) + wire::bytes(53, wire::number(1, 5)));
    expect_violation();
}

TEST_F(ExecOfATakenOverWorker, WordThatIsNotUtf8EndsIt) {
    puppet_.send(exec(1, {"\xff"}));
    expect_violation();
}

class WordsInTheArena : public TakenOver {
protected:
    WordsInTheArena()
        : TakenOver(R"(schema = 1
[[allow]]
id = "work"
commands = ["@file"]
files = [{ under = "$D/work", access = ["read"] }]
[[allow]]
id = "touch"
commands = ["guest-exec"]
[[allow.exec]]
program = "/usr/bin/touch"
args = ["--", { under = "$D/work" }]
run_as = "root"
host_env = ["A"]
concurrent = 4
)") {}
    // The one file that was made; it is removed again.
    std::string take_made() {
        std::string made;
        for (const char* name : {"work/a", "work/b"})
            if (std::filesystem::remove(path(name))) made += path(name) + " ";
        return made;
    }
    // The memory that broker and worker share.
    UniqueFd arena() {
        const std::string directory = "/proc/" + std::to_string(agent_.broker().pid()) + "/fd";
        for (const auto& entry : std::filesystem::directory_iterator(directory))
            if (std::filesystem::read_symlink(entry).string().starts_with("/memfd:sallyport-arena"))
                return UniqueFd(::open(entry.path().c_str(), O_RDWR | O_CLOEXEC));
        throw std::runtime_error("no arena");
    }
    // The words, of which one byte changes all the time: both ways they are in order.
    void put(const std::string& variable) {
        message_ = wire::bytes(1, "/usr/bin/touch") + strings(2, {"--", path("work/a")}) +
                   strings(3, {variable + std::string(60'000, 'x')});
        for (std::size_t at = 0; at < message_.size(); at += 30'000)
            puppet_.write_arena(static_cast<std::uint32_t>(at), message_.substr(at, 30'000));
        const UniqueFd fd = arena();
        auto* const data = static_cast<char*>(
            ::mmap(nullptr, kArenaData, PROT_READ | PROT_WRITE, MAP_SHARED, fd.get(), kArenaHeader));
        ASSERT_NE(static_cast<void*>(data), MAP_FAILED);
        changes_ = std::jthread([byte = data + message_.find("work/a") + 5](const std::stop_token& stops) {
            const std::atomic_ref changing(*byte);
            while (!stops.stop_requested()) {
                changing = 'b';
                changing = 'a';
            }
        });
    }
    ipc::Reply ask(std::uint64_t seq) {
        return puppet_.ask(wire::seq(seq) + wire::bytes(2, wire::bulk(message_.size(), 0, message_.size())) +
                           wire::bytes(52, ""));
    }
    std::string message_;
    std::jthread changes_;
};

TEST_F(WordsInTheArena, AreCopiedSoThatTheyStayInOrder) {
    put("NOT_THE_HOSTS=");
    for (std::uint64_t seq = 1; seq <= 2000; ++seq) ASSERT_EQ(ask(seq).error().reason(), ipc::REFUSED) << seq;
    EXPECT_EQ(agent_.count_audit("verdict", "violation"), 0U);
}

TEST_F(WordsInTheArena, AreInTheLogAsTheyAreStarted) {
    put("A=");
    std::vector<std::string> made;
    for (std::uint64_t seq = 1; seq <= 20; ++seq) {
        ASSERT_GT(ask(seq).exec().pid(), 0) << seq;
        ASSERT_TRUE(eventually([&] { return agent_.count_audit("what", "program-ended") == seq; }));
        made.push_back("-- " + take_made());
    }
    std::map<std::int64_t, std::string> told;
    for (const auto& line : agent_.audit()) {
        if (line.at("what").as_string() != "guest-exec") continue;
        const auto& arguments = line.at("arguments").as_object();
        told[arguments.at("pid").as_int64()] = std::string(arguments.at("arg").as_string()) + " ";
    }
    std::vector<std::string> all;
    for (const auto& [pid, words] : told) all.push_back(words);
    EXPECT_EQ(all, made);
}

class ProgramsOfATakenOverWorker : public TakenOver {
protected:
    ProgramsOfATakenOverWorker()
        : TakenOver(R"(schema = 1
[[allow]]
id = "work"
commands = ["@file"]
files = [{ under = "$D/work", access = ["read"] }]
[[allow]]
id = "sh"
commands = ["guest-exec"]
[[allow.exec]]
program = "/usr/bin/touch"
args = ["any"]
run_as = "root"
[[allow.exec]]
program = "/usr/bin/head"
args = ["-c", { int = [1, 1000000] }, "/dev/zero"]
run_as = "root"
output = "1MiB"
)") {}
    std::int64_t start_head(std::uint64_t seq) {
        const std::string words =
            wire::bytes(1, "/usr/bin/head") + strings(2, {"-c", "900000", "/dev/zero"}) + mode(2);
        return puppet_.ask(wire::seq(seq) + wire::bytes(52, words)).exec().pid();
    }
    pid_t launcher() {
        for (const pid_t child : children_of(agent_.broker().pid()))
            if (name_of(child) == "sallyport-launcher") return child;
        return 0;
    }
};

TEST_F(ProgramsOfATakenOverWorker, ThatDoesNotTakeItsOutputHasOnlyFourPartsOfIt) {
    const auto pid = start_head(1);
    ASSERT_GT(pid, 0);
    ASSERT_TRUE(eventually([&] { return agent_.count_audit("what", "program-ended") == 1; }));
    puppet_.send(exec_status(2, pid));
    for (int part = 0; part < 3; ++part) EXPECT_TRUE(puppet_.hear().has_more()) << part;
    const auto last = puppet_.hear();
    EXPECT_TRUE(last.exec_status().exited());
    EXPECT_EQ(last.data().size(), 900'000U - 3 * kChunk);
    EXPECT_EQ(puppet_.ask(exec_status(3, pid)).error().reason(), ipc::BAD_HANDLE);
}

TEST_F(ProgramsOfATakenOverWorker, AnotherRequestWhileOneIsStartedEndsItAndTheProgramIsKnownByItsNumberOnly) {
    const pid_t stopped = launcher();
    ASSERT_TRUE(stopped > 0 && send_signal(stopped, SIGSTOP)) << "the first stays under way";
    puppet_.send(wire::seq(1) + wire::bytes(52, wire::bytes(1, "/usr/bin/head") +
                                                    strings(2, {"-c", "7", "/dev/zero"}) + mode(2)));
    puppet_.send(exec_status(2, 1));
    const bool is_replaced = puppet_.is_replaced();
    send_signal(stopped, SIGCONT);
    ASSERT_TRUE(is_replaced);
    EXPECT_TRUE(eventually([&] { return agent_.count_audit("what", "program-ended") == 1; }));
    EXPECT_EQ(puppet_.ask(exec_status(1, 1000)).exec_status().out_data().size(), 7U);
}

TEST_F(ProgramsOfATakenOverWorker, WithdrawnWhileItsOutputIsTakenLeavesTheResultToItsSuccessor) {
    const auto pid = start_head(1);
    ASSERT_TRUE(eventually([&] { return agent_.count_audit("what", "program-ended") == 1; }));
    puppet_.send(exec_status(2, pid));
    puppet_.crash();
    ASSERT_TRUE(puppet_.is_replaced());
    const auto first = puppet_.ask(exec_status(1, pid));
    EXPECT_TRUE(first.has_more() || first.error().reason() == ipc::BAD_HANDLE)
        << "told in whole before the crash, or not at all";
}

}  // namespace
}  // namespace sallyport::test
