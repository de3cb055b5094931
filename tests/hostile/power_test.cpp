// A worker that was taken over asks for guest-shutdown and guest-suspend-disk, -ram and -hybrid: what the policy does
// not allow is not started. Everything here runs where the machine's own power cannot be reached.
#include <gtest/gtest.h>

#include <cerrno>
#include <csignal>
#include <filesystem>

#include "tests/hostile/taken_over.hpp"
#include "tests/support/no_power.hpp"

namespace sallyport::test {
namespace {

constexpr const char* kPolicy = R"(schema = 1
[[allow]]
id = "work"
commands = ["@file"]
files = [{ under = "$D/work", access = ["read"] }]
[[allow]]
id = "down"
commands = ["guest-shutdown", "guest-suspend-ram"]
modes = ["powerdown"]
[[deny]]
id = "never"
commands = ["guest-shutdown"]
modes = ["halt"]
)";

std::string shutdown(std::uint64_t seq, std::string_view mode) {
    return wire::seq(seq) + wire::bytes(48, mode.empty() ? "" : wire::bytes(1, mode));
}
std::string suspend_disk(std::uint64_t seq) {
    return wire::seq(seq) + wire::bytes(49, "");
}
std::string suspend_hybrid(std::uint64_t seq) {
    return wire::seq(seq) + wire::bytes(51, "");
}

// Before the agent.
struct Apart {
    NoPower tools_;
};

class PowerOfATakenOverWorker : protected Apart, public TakenOver {
protected:
    PowerOfATakenOverWorker() : TakenOver(kPolicy) {}
    void TearDown() override {
        EXPECT_EQ(agent_.count_audit("what", "launch-ended"), 0U);
        EXPECT_EQ(tools_.calls(), "");
    }
};

TEST_F(PowerOfATakenOverWorker, ModeThatNoRuleAllowsIsRefused) {
    expect_refused(puppet_.ask(shutdown(1, "reboot")), ipc::REFUSED);
}

TEST_F(PowerOfATakenOverWorker, ModeThatIsDeniedIsRefused) {
    expect_refused(puppet_.ask(shutdown(1, "halt")), ipc::REFUSED);
}

TEST_F(PowerOfATakenOverWorker, ModeThatDoesNotExistIsNone) {
    for (std::uint64_t seq = 1; const char* mode : {" ", "POWERDOWN", "powerdown ", "power", "halt; reboot"})
        EXPECT_EQ(puppet_.ask(shutdown(seq++, mode)).error().reason(), ipc::BAD_MODE) << mode;
}

TEST_F(PowerOfATakenOverWorker, LongModeIsNone) {
    expect_refused(puppet_.ask(shutdown(1, std::string(60'000, 'p'))), ipc::BAD_MODE);
}

TEST_F(PowerOfATakenOverWorker, SuspendThatNoRuleAllowsIsDisabled) {
    EXPECT_EQ(puppet_.ask(suspend_disk(1)).error().reason(), ipc::DISABLED);
    expect_refused(puppet_.ask(suspend_hybrid(2)), ipc::DISABLED, 3);
}

TEST_F(PowerOfATakenOverWorker, UnknownFieldEndsIt) {
    puppet_.send(wire::seq(1) + wire::bytes(50, wire::number(1, 1)));
    expect_violation();
}

TEST_F(PowerOfATakenOverWorker, ModeThatIsNotUtf8EndsIt) {
    puppet_.send(shutdown(1, "\xff"));
    expect_violation();
}

TEST_F(PowerOfATakenOverWorker, BulkWithARequestEndsIt) {
    puppet_.send(wire::seq(1) + wire::bytes(2, wire::bulk(1, 0, 1)) + wire::bytes(50, ""));
    expect_violation();
}

class PowerWhileATakenOverWorkerWaits : protected Apart, public TakenOver {
protected:
    PowerWhileATakenOverWorkerWaits() : TakenOver(kPolicy) {}
};

TEST_F(PowerWhileATakenOverWorkerWaits, AnotherRequestEndsIt) {
    tools_.block();
    puppet_.send(shutdown(1, "powerdown"));
    puppet_.send(shutdown(2, "powerdown"));
    ASSERT_TRUE(puppet_.is_replaced());
    EXPECT_EQ(agent_.count_audit("verdict", "violation"), 1U);
    EXPECT_EQ(puppet_.ask(shutdown(1, "powerdown")).error().sys_errno(), EBUSY);
    tools_.release();
    EXPECT_TRUE(eventually([&] { return agent_.count_audit("what", "launch-ended") == 1; }));
    EXPECT_EQ(tools_.calls(), "poweroff\n");
}

TEST_F(PowerWhileATakenOverWorkerWaits, ItsEndDoesNotAnswerItsSuccessor) {
    tools_.block();
    puppet_.send(shutdown(1, "powerdown"));
    ASSERT_TRUE(eventually([&] { return tools_.calls() == "poweroff\n"; }));
    puppet_.crash();
    ASSERT_TRUE(puppet_.is_replaced());
    tools_.release();
    EXPECT_TRUE(eventually([&] { return agent_.count_audit("what", "launch-ended") == 1; }));
    EXPECT_EQ(puppet_.ask(wire::file_flush(1, 1)).error().reason(), ipc::BAD_HANDLE);
}

class PowerBesideATrim : protected Apart, public TakenOver {
protected:
    PowerBesideATrim() : TakenOver(kTrimPolicy) {}
    [[nodiscard]] pid_t guard() {
        for (const pid_t child : children_of(agent_.broker().pid()))
            if (name_of(child) == "sallyport-guard") return child;
        return -1;
    }

    static constexpr const char* kTrimPolicy = R"(schema = 1
[[allow]]
id = "down"
commands = ["guest-shutdown"]
modes = ["powerdown"]
[[allow]]
id = "trim"
commands = ["guest-fstrim"]
freeze = { mounts = ["$D/none"] }
)";
};

TEST_F(PowerBesideATrim, RequestOfAnEarlierWorkerThatEndsDoesNotLoseTheReply) {
    tools_.block();
    ASSERT_TRUE(send_signal(guard(), SIGSTOP));
    puppet_.send(wire::seq(1) + wire::bytes(26, ""));
    puppet_.crash();
    ASSERT_TRUE(puppet_.is_replaced());
    puppet_.send(shutdown(1, "powerdown"));
    ASSERT_TRUE(eventually([&] { return tools_.calls() == "poweroff\n"; }));
    ASSERT_TRUE(send_signal(guard(), SIGCONT));
    ASSERT_TRUE(eventually([&] { return agent_.count_audit("what", "guest-fstrim") == 1; }));
    tools_.release();
    EXPECT_TRUE(puppet_.hear().has_shutdown());
}

struct ApartWithHook : Apart {
    ApartWithHook() {
        std::filesystem::create_directories("/run/hooks");
        tools_.put("/run/hooks/hook", "exit 0");
    }
};

class FreezeAfterAPowerRequest : protected ApartWithHook, public TakenOver {
protected:
    FreezeAfterAPowerRequest() : TakenOver(kFreezePolicy) {}
    static constexpr const char* kFreezePolicy = R"(schema = 1
[[allow]]
id = "down"
commands = ["guest-shutdown"]
modes = ["powerdown"]
[[allow]]
id = "freeze"
commands = ["guest-fsfreeze-freeze"]
freeze = { mounts = ["$D/none"], hooks = "/run/hooks" }
)";
};

TEST_F(FreezeAfterAPowerRequest, RunsItsHooksAsSoonAsTheLauncherIsFree) {
    tools_.block();
    puppet_.send(shutdown(1, "powerdown"));
    ASSERT_TRUE(eventually([&] { return tools_.calls() == "poweroff\n"; }));
    puppet_.crash();
    ASSERT_TRUE(puppet_.is_replaced());
    puppet_.send(wire::seq(1) + wire::bytes(23, ""));
    // The state is told while the hooks still wait.
    EXPECT_TRUE(puppet_.hear().frozen_state().frozen());
    tools_.release();
    ipc::Reply reply;
    while (reply.has_frozen_state() || reply.result_case() == ipc::Reply::RESULT_NOT_SET)
        reply = puppet_.hear();
    EXPECT_EQ(reply.seq(), 1U);
    EXPECT_TRUE(reply.has_fsfreeze_freeze());
}

}  // namespace
}  // namespace sallyport::test
