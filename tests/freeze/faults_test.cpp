// What is not a death: deadlines, hosts that go away, violations, full disks, hooks that hang; and a restart.
#include <fcntl.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <csignal>
#include <filesystem>
#include <fstream>
#include <optional>

#include "tests/freeze/freezing.hpp"
#include "tests/support/audit.hpp"
#include "tests/support/process.hpp"

namespace sallyport::test {
namespace {

TEST(Deadline, ThawsByItselfAndSaysSo) {
    const auto systems = make_systems(2);
    Agent agent({.policy = freeze_policy("max_frozen = \"300ms\"")});
    ASSERT_TRUE(agent.is_serving()) << agent.messages();
    HostClient host = agent.connect();
    ASSERT_EQ(freeze(host), 2);
    EXPECT_TRUE(all_are_writable(systems, milliseconds(1300)));
    EXPECT_TRUE(eventually([&] { return status(host) == "thawed"; }));
    EXPECT_EQ(thaw(host), 0);
    EXPECT_EQ(agent.count_audit("what", "thawed"), 1U);
    EXPECT_EQ(freeze(host), 2);
    EXPECT_EQ(thaw(host), 2);
}

TEST(Host, GoesAwayAndComesBackToWhatItFroze) {
    const auto systems = make_systems(1);
    Agent agent({.policy = freeze_policy()});
    ASSERT_TRUE(agent.is_serving()) << agent.messages();
    {
        HostClient host = agent.connect();
        ASSERT_EQ(freeze(host), 1);
    }
    HostClient host = agent.connect();
    EXPECT_EQ(status(host), "frozen");
    EXPECT_EQ(thaw(host), 1);
    EXPECT_TRUE(all_are_writable(systems));
}

TEST(Host, ThatNeverComesBackIsNotWaitedFor) {
    const auto systems = make_systems(1);
    Agent agent({.policy = freeze_policy("max_frozen = \"500ms\"")});
    ASSERT_TRUE(agent.is_serving()) << agent.messages();
    {
        HostClient host = agent.connect();
        ASSERT_EQ(freeze(host), 1);
    }
    EXPECT_TRUE(all_are_writable(systems, milliseconds(1500)));
}

TEST(Sigterm, WhileFrozenThawsThenEndsWithSuccess) {
    const auto systems = make_systems(2);
    Agent agent({.policy = freeze_policy()});
    ASSERT_TRUE(agent.is_serving()) << agent.messages();
    HostClient host = agent.connect();
    ASSERT_EQ(freeze(host), 2);
    EXPECT_EQ(agent.stop(), 0);
    EXPECT_TRUE(all_are_writable(systems));
    agent.restart();
    ASSERT_TRUE(agent.is_serving());
    HostClient again = agent.connect();
    EXPECT_EQ(status(again), "thawed");
}

TEST(Worker, KilledWhileFrozenLeavesItFrozenForTheNext) {
    const auto systems = make_systems(1);
    Agent agent({.policy = freeze_policy()});
    ASSERT_TRUE(agent.is_serving()) << agent.messages();
    HostClient host = agent.connect();
    ASSERT_EQ(freeze(host), 1);
    send_signal(agent.worker(), SIGKILL);
    EXPECT_EQ(status(host), "frozen");
    EXPECT_EQ(thaw(host), 1);
    EXPECT_TRUE(all_are_writable(systems));
}

TEST(GuardProcess, KilledWhileFrozenIsSurvivedByThoseWhoThawAndSaySo) {
    const auto systems = make_systems(2);
    Agent agent({.policy = freeze_policy()});
    ASSERT_TRUE(agent.is_serving()) << agent.messages();
    HostClient host = agent.connect();
    ASSERT_EQ(freeze(host), 2);
    send_signal(guard_of(agent), SIGKILL);
    EXPECT_EQ(agent.broker().wait(), 1);
    EXPECT_TRUE(all_are_writable(systems));
    EXPECT_GE(agent.count_audit("what", "thawed"), 1U);  // each of the two may be the last
    agent.restart();
    ASSERT_TRUE(agent.is_serving()) << agent.messages();
    HostClient again = agent.connect();
    EXPECT_EQ(status(again), "thawed");
}

// Locks of memory are not inherited: each of them has its own.
TEST(Memory, OfThoseWhoAreNeededForAThawStaysWhileFrozen) {
    const auto systems = make_systems(1);
    Agent agent({.policy = freeze_policy()});
    ASSERT_TRUE(agent.is_serving()) << agent.messages();
    HostClient host = agent.connect();
    ASSERT_EQ(freeze(host), 1);
    std::vector<pid_t> needed = family_of(agent);
    ASSERT_EQ(needed.size(), 2U);
    needed.push_back(guard_of(agent));
    needed.push_back(agent.broker().pid());
    for (const pid_t process : needed)
        EXPECT_GT(std::stol(status_field(process, "VmLck")), 0) << name_of(process) << " " << process;
    EXPECT_EQ(thaw(host), 1);
}

// Broker, guard and its children at once, as by a service manager that kills the whole group: nobody is left to thaw.
void kill_all(Agent& agent) {
    std::vector<pid_t> all = agent.processes();
    for (const pid_t process : all) send_signal(process, SIGSTOP);
    for (const pid_t process : all) eventually([process] { return state_of(process) == 'T'; });
    for (const pid_t process : all) send_signal(process, SIGKILL);
    for (const pid_t process : all) eventually([process] { return !is_running(process); });
    agent.broker().wait();
}

TEST(Restart, FindsWhatWasLeftFrozenAndThawsIt) {
    const auto systems = make_systems(2);
    Agent agent({.policy = freeze_policy()});
    ASSERT_TRUE(agent.is_serving()) << agent.messages();
    {
        HostClient host = agent.connect();
        ASSERT_EQ(freeze(host), 2);
    }
    kill_all(agent);
    std::unique_ptr<Child> writer;
    EXPECT_TRUE(blocks_writers(systems[0]->point(), writer));
    agent.restart();
    ASSERT_TRUE(agent.is_serving()) << agent.messages();
    HostClient host = agent.connect();
    EXPECT_EQ(status(host), "frozen");
    EXPECT_EQ(thaw(host), 2);
    EXPECT_EQ(writer->wait(), 0);
    EXPECT_EQ(status(host), "thawed");
}

TEST(Restart, ThawsWhatWasLeftFrozenByItselfWhenTheTimeOfItsRuleIsUp) {
    const auto systems = make_systems(1);
    Agent agent({.policy = freeze_policy("max_frozen = \"2s\"")});
    ASSERT_TRUE(agent.is_serving()) << agent.messages();
    {
        HostClient host = agent.connect();
        ASSERT_EQ(freeze(host), 1);
    }
    kill_all(agent);
    agent.restart();
    ASSERT_TRUE(agent.is_serving()) << agent.messages();
    HostClient host = agent.connect();
    EXPECT_TRUE(eventually([&] { return status(host) == "thawed"; }));
    EXPECT_TRUE(all_are_writable(systems));
    EXPECT_EQ(agent.count_audit("what", "thawed"), 1U);
}

TEST(Restart, WithItsStateOnAFrozenFileSystemThawsAtOnce) {
    const auto systems = make_systems(1);
    Agent agent({.policy = freeze_policy("mounts = [\"/mnt/fs0\"]"), .prepare = [&](const Scratch& scratch) {
                     ASSERT_EQ(::chmod(systems[0]->point().c_str(), 0700), 0);
                     ASSERT_EQ(::mount(systems[0]->point().c_str(), scratch.path("state").c_str(), nullptr,
                                       MS_BIND, nullptr),
                               0);
                 }});
    ASSERT_TRUE(agent.is_serving()) << agent.messages();
    {
        HostClient host = agent.connect();
        ASSERT_EQ(freeze(host), 1);
        EXPECT_EQ(status(host), "frozen");
    }
    kill_all(agent);
    agent.restart();
    EXPECT_TRUE(agent.is_serving()) << agent.messages();
    {
        HostClient host = agent.connect();
        EXPECT_EQ(status(host), "thawed");
        EXPECT_EQ(freeze(host), 1);
        EXPECT_EQ(thaw(host), 1);
    }
    EXPECT_EQ(agent.stop(), 0);
    EXPECT_EQ(::umount2(agent.state().c_str(), 0), 0);
}

TEST(GuardThaw, ThawsAfterTheServiceAndOnlyIfThatFroze) {
    const auto systems = make_systems(1);
    Agent agent({.policy = freeze_policy()});
    ASSERT_TRUE(agent.is_serving()) << agent.messages();
    {
        HostClient host = agent.connect();
        ASSERT_EQ(freeze(host), 1);
    }
    kill_all(agent);
    const Program program{.words = {build_root() + "/broker/guard/guard", "thaw", agent.state()}};
    EXPECT_EQ(run(program).error, "guard: thawed 1 file systems\n");
    EXPECT_TRUE(all_are_writable(systems));
    EXPECT_EQ(run(program).error, "");
}

TEST(FullDisk, OfTheAuditLogDelaysNoThawAndNoLineIsLost) {
    const auto systems = make_systems(1);
    Agent agent(
        {.policy = freeze_policy(), .prepare = [](const Scratch& scratch) {
             ASSERT_EQ(::mount("small", scratch.path("state").c_str(), "tmpfs", 0, "size=64k,mode=0700"), 0);
         }});
    ASSERT_TRUE(agent.is_serving()) << agent.messages();
    {
        HostClient host = agent.connect();
        ASSERT_EQ(freeze(host), 1);
        {
            Child filler([&] {
                std::FILE* file = std::fopen((agent.state() + "/fill").c_str(), "w");
                while (std::fputs("full", file) >= 0 && std::fflush(file) == 0) {
                }
                return 0;
            });
            filler.wait();
        }
        EXPECT_EQ(status(host), "frozen");
        for (int asked = 0; asked < 400; ++asked)
            EXPECT_EQ(class_of(ask(host, "guest-fstrim")), "CommandNotFound");
        EXPECT_EQ(thaw(host), 1);
        EXPECT_TRUE(all_are_writable(systems));
        std::filesystem::remove(agent.state() + "/fill");
        EXPECT_EQ(status(host), "thawed");
    }
    // What the full disk did not take waited for it to have room; refusals beyond their rate were counted.
    EXPECT_EQ(first_broken_link(audit_lines(agent.audit_file())), -1);
    EXPECT_EQ(agent.count_audit("what", "guest-fsfreeze-thaw"), 1U);
    EXPECT_EQ(read_file(agent.audit_file()).find("\"lost\":"), std::string::npos);
    EXPECT_NE(read_file(agent.audit_file()).find("\"unwritten\":"), std::string::npos);
    EXPECT_EQ(agent.stop(), 0);
    EXPECT_EQ(::umount2(agent.state().c_str(), 0), 0);
}

// An agent whose log is on a disk of its own.
class FullDiskOfTheLog : public testing::Test {
protected:
    FullDiskOfTheLog()
        : disk_({.name = "log"}),
          agent_({.policy = R"(schema = 1
[[allow]]
id = "work"
commands = ["@file"]
files = [{ under = "$D/work", access = ["read"] }]
)",
                  .prepare = [this](const Scratch& scratch) {
                      scratch.write("work/file", "contents");
                      ::chmod(disk_.point().c_str(), 0700);
                      state_.emplace(disk_.point(), scratch.path("state"));
                  }}) {}
    // Before the scratch folder goes, which it lies in.
    void TearDown() override { state_.reset(); }
    [[nodiscard]] std::string open() const {
        return command("guest-file-open", members({{"path", in_quotes(agent_.scratch().path("work/file"))}}));
    }
    static bool is_unrecorded(const std::string& reply) {
        return desc_of(reply).ends_with("the guest's audit log cannot be written");
    }
    void fill() {
        Child filler([&] {
            const UniqueFd file(::open(disk_.path("fill").c_str(), O_WRONLY | O_CREAT | O_CLOEXEC, 0600));
            const std::string block(4096, 'x');
            for (const std::size_t size : {block.size(), std::size_t{1}})
                while (::write(file.get(), block.data(), size) > 0) {
                }
            return ::fsync(file.get());
        });
        EXPECT_EQ(filler.wait(), 0);
    }
    /// How many reads were answered before one was refused.
    static std::size_t read_until_refused(HostClient& host) {
        std::size_t answered = 0;
        EXPECT_TRUE(eventually([&] {
            const std::string reply = host.ask(command("guest-file-read", R"({"handle":1000,"count":1})"));
            answered += desc_of(reply).empty() ? 1U : 0U;
            return is_unrecorded(reply);
        }));
        return answered;
    }
    void kill_broker() {
        agent_.broker().signal(SIGKILL);
        EXPECT_EQ(agent_.broker().wait(), -SIGKILL);
    }
    void expect_start_that_refuses() {
        agent_.restart();
        ASSERT_TRUE(agent_.is_serving()) << agent_.messages();
        HostClient host = agent_.connect();
        EXPECT_TRUE(is_unrecorded(host.ask(open())));
        EXPECT_EQ(host.ask(command("guest-ping")), "{\"return\": {}}");
        EXPECT_EQ(status(host), "thawed");
        EXPECT_EQ(thaw(host), 0);
        EXPECT_NE(agent_.messages().find("is the disk full?"), std::string::npos) << agent_.messages();
    }
    LoopFs disk_;
    std::optional<BindMount> state_;
    Agent agent_;
};

// The recorder of the agent that was killed has lines that the disk does not take.
TEST_F(FullDiskOfTheLog, AfterAKillTheNextStartRefusesUntilThereIsRoomAndNoLineIsLost) {
    std::size_t answered = 0;
    {
        HostClient host = agent_.connect();
        EXPECT_EQ(host.ask(open()), "{\"return\": 1000}");
        fill();
        answered = read_until_refused(host);
    }
    kill_broker();
    const auto first = recorders_of(agent_.state());
    ASSERT_EQ(first.size(), 2U);
    expect_start_that_refuses();
    kill_broker();
    EXPECT_TRUE(eventually([&] { return recorders_of(agent_.state()) == first; }))
        << "each start leaves its recorder waiting";
    expect_start_that_refuses();
    std::filesystem::remove(disk_.path("fill"));
    HostClient host = agent_.connect();
    EXPECT_TRUE(eventually([&] { return desc_of(host.ask(open())).empty(); }));
    EXPECT_EQ(agent_.stop(), 0);
    EXPECT_EQ(first_broken_link(audit_lines(agent_.audit_file())), -1);
    const auto records = agent_.audit();
    EXPECT_EQ(std::ranges::count_if(records,
                                    [](const auto& record) {
                                        return text_of(record, "what") == "guest-file-read" &&
                                               text_of(record, "verdict") == "allow";
                                    }),
              static_cast<std::ptrdiff_t>(answered));
    EXPECT_EQ(agent_.count_audit("what", "start"), 2U) << "the start that recorded nothing has no line";
}

// Nobody but root may be able to change a hook or a folder above it; a scratch folder lies in one for all.
void write_hook(const std::string& name, const std::string& body) {
    std::filesystem::create_directory("/var/hooks");
    const std::string file = "/var/hooks/" + name;
    std::ofstream(file) << "#!/bin/sh\n" << body << "\n";
    ::chmod(file.c_str(), 0755);
}

class Hooks : public testing::Test {
protected:
    ~Hooks() override { std::filesystem::remove_all("/var/hooks"); }
};

TEST_F(Hooks, OfARuleAndOthersOfTheOptionEndTheStart) {
    Agent agent({.policy = R"(schema = 1
[[allow]]
id = "all"
commands = ["guest-fsfreeze-freeze"]
freeze = { hooks = "/var/hooks" }
[[allow]]
id = "some"
commands = ["guest-fsfreeze-freeze-list"]
freeze = {}
)",
                 .prepare = [](const Scratch&) {},
                 .words = {"-F/var/hooks/only"}});
    EXPECT_EQ(agent.broker().wait(), 1);
    EXPECT_NE(agent.messages().find("a rule's 'hooks' are others than those of -F"), std::string::npos)
        << agent.messages();
}

TEST_F(Hooks, RunBeforeTheFreezeAndInReverseAfterTheThaw) {
    const auto systems = make_systems(1);
    Agent agent({.policy = freeze_policy("hooks = \"/var/hooks\""), .prepare = [](const Scratch& scratch) {
                     for (const char* name : {"10-first", "20-second"})
                         write_hook(name, "echo " + std::string(name) + " $1 >> " + scratch.path("log"));
                 }});
    ASSERT_TRUE(agent.is_serving()) << agent.messages();
    HostClient host = agent.connect();
    EXPECT_EQ(freeze(host), 1);
    EXPECT_EQ(thaw(host), 1);
    const std::string log = agent.scratch().path("log");
    EXPECT_TRUE(eventually([&] { return agent.count_audit("what", "hooks-thaw") == 1; }));
    EXPECT_EQ(read_file(log), "10-first freeze\n20-second freeze\n20-second thaw\n10-first thaw\n");
}

TEST_F(Hooks, OfTheOptionRunIfTheRuleNamesNone) {
    const auto systems = make_systems(1);
    Agent agent(
        {.policy = freeze_policy(),
         .prepare = [](const Scratch& scratch) { write_hook("only", "echo $1 >> " + scratch.path("log")); },
         .words = {"-F/var/hooks/only"}});
    ASSERT_TRUE(agent.is_serving()) << agent.messages();
    HostClient host = agent.connect();
    EXPECT_EQ(freeze(host), 1);
    EXPECT_EQ(thaw(host), 1);
    EXPECT_TRUE(eventually([&] { return agent.count_audit("what", "hooks-thaw") == 1; }));
    EXPECT_EQ(read_file(agent.scratch().path("log")), "freeze\nthaw\n");
}

TEST_F(Hooks, OneThatHangsGivesTheFreezeUpAndIsFollowedByItsThawHook) {
    const auto systems = make_systems(1);
    Agent agent({.policy = freeze_policy("hooks = \"/var/hooks\""), .prepare = [](const Scratch& scratch) {
                     write_hook("hangs", "test $1 = thaw && echo thaw > " + scratch.path("log") +
                                             " && exit 0\nexec /usr/bin/sleep 100");
                 }});
    ASSERT_TRUE(agent.is_serving()) << agent.messages();
    HostClient host = agent.connect();
    EXPECT_EQ(desc_of(ask(host, "guest-fsfreeze-freeze")), "child process has terminated abnormally");
    EXPECT_EQ(status(host), "thawed");
    EXPECT_TRUE(all_are_writable(systems));
    EXPECT_TRUE(eventually([&] { return agent.count_audit("what", "hooks-thaw") == 1; }));
    EXPECT_EQ(read_file(agent.scratch().path("log")), "thaw\n");
}

TEST_F(Hooks, StatusAndThawAreAnsweredBesideOneThatTakesItsTime) {
    const auto systems = make_systems(1);
    Agent agent({.policy = freeze_policy("hooks = \"/var/hooks\""), .prepare = [](const Scratch&) {
                     write_hook("slow", "test $1 = thaw && exit 0\nexec /usr/bin/sleep 3");
                 }});
    ASSERT_TRUE(agent.is_serving()) << agent.messages();
    HostClient host = agent.connect();
    host.send(command("guest-fsfreeze-freeze"));
    // The host gives up waiting; the hook goes on.
    host.ask_all("\xff");
    const auto begun = Clock::now();
    EXPECT_EQ(status(host), "frozen");
    EXPECT_EQ(class_of(ask(host, "guest-fstrim")), "GenericError");
    EXPECT_EQ(thaw(host), 0);
    EXPECT_EQ(status(host), "thawed");
    EXPECT_LT(Clock::now() - begun, milliseconds(1000));
    EXPECT_TRUE(eventually([&] { return agent.count_audit("what", "hooks-thaw") == 1; }));
    EXPECT_EQ(freeze(host), 1);
    EXPECT_EQ(thaw(host), 1);
    EXPECT_TRUE(eventually([&] { return agent.count_audit("what", "hooks-thaw") == 2; }));
}

}  // namespace
}  // namespace sallyport::test
