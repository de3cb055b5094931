// What the rules that only dry-run would make of a request is in the log, and nothing else comes of it.
#include <gtest/gtest.h>

#include <array>
#include <string>
#include <vector>

#include "room.hpp"
#include "tests/support/hours.hpp"

namespace sallyport::broker {
namespace {

using policy::Effect;

constexpr policy::WallTime kFarAway = 4'000'000'000;

class DryRunOfRules : public Room {
protected:
    static policy::Rule rule(const char* id, Effect effect, std::initializer_list<CommandId> commands) {
        policy::Rule rule{.id = id, .where = "p.toml:1", .effect = effect};
        for (const CommandId command : commands) rule.commands.add(command);
        rule.expires = kFarAway;
        return rule;
    }
    /// From now on that rule dry-runs, and a new worker is told so.
    void try_out(const policy::Rule& rule) {
        policy_.dry_runs.push_back(rule);
        session_->dry_run = dry_run_of(policy_);
        replace_worker();
        lines();
    }
    [[nodiscard]] bool is_tried(CommandId command) const {
        return std::ranges::count(welcome_.welcome().tried(), static_cast<std::uint32_t>(command)) != 0;
    }
    std::string line() {
        const auto log = lines();
        EXPECT_EQ(log.size(), 1U);
        return log.empty() ? "" : log[0];
    }
    static ipc::Request shutdown(const char* mode) {
        ipc::Request request;
        request.mutable_shutdown()->set_mode(mode);
        return request;
    }
    ipc::Request opening(const char* name) const {
        ipc::Request request;
        request.mutable_file_open()->set_path(scratch_.path() / name);
        request.mutable_file_open()->set_mode("w");
        return request;
    }
};

TEST_F(DryRunOfRules, AnAllowRuleGrantsNothingAndIsRecorded) {
    try_out(rule("try", Effect::kAllow, {CommandId::kGetLoad}));
    EXPECT_TRUE(is_tried(CommandId::kGetLoad)) << "so that its arguments are seen";
    EXPECT_FALSE(session_->worker.enabled.has(CommandId::kGetLoad));
    EXPECT_FALSE(ask_about(CommandId::kGetLoad));
    EXPECT_EQ(reply().error().reason(), ipc::DISABLED);
    EXPECT_EQ(query().command(), 0U) << "nobody was asked";
    const std::string text = line();
    EXPECT_TRUE(has(text, R"("verdict":"refuse")") && has(text, R"("would":"allow","would_rule":"try")"))
        << text;
}

TEST_F(DryRunOfRules, ADenyRuleRefusesNothingAndIsRecorded) {
    policy::Rule deny = rule("no-keys", Effect::kDeny, {CommandId::kFileOpen});
    deny.files.push_back({.under = scratch_.path() / "keys"});
    try_out(deny);
    EXPECT_FALSE(ask(opening("keys")));
    EXPECT_TRUE(reply().has_file_open());
    std::string text = line();
    EXPECT_TRUE(has(text, R"("verdict":"allow")") &&
                has(text, R"("rule":"all","would":"refuse","would_rule":"no-keys")"))
        << text;
    EXPECT_FALSE(ask(opening("other")));
    EXPECT_TRUE(reply().has_file_open());
    text = line();
    EXPECT_FALSE(has(text, "would")) << text;
}

TEST_F(DryRunOfRules, OfACommandThatIsRefusedTheArgumentsDecideAndAreRecorded) {
    policy_.rules[0].commands.remove(CommandId::kShutdown);
    policy::Rule allow = rule("try", Effect::kAllow, {CommandId::kShutdown});
    allow.modes.set(static_cast<std::size_t>(policy::Mode::kReboot));
    try_out(allow);
    EXPECT_FALSE(ask(shutdown("reboot")));
    EXPECT_EQ(reply().error().reason(), ipc::DISABLED);
    EXPECT_FALSE(session_->launch);
    std::string text = line();
    EXPECT_TRUE(has(text, R"("arguments":{"mode":"reboot"})") && has(text, R"("would":"allow")")) << text;
    EXPECT_FALSE(ask(shutdown("halt")));
    EXPECT_EQ(reply().error().reason(), ipc::DISABLED);
    text = line();
    EXPECT_FALSE(has(text, "would") || has(text, "arguments")) << text;
}

TEST_F(DryRunOfRules, AProgramAPasswordAndTheClockAreJudgedByTheirArguments) {
    for (const CommandId command : {CommandId::kExec, CommandId::kSetUserPassword, CommandId::kSetTime})
        policy_.rules[0].commands.remove(command);
    policy::Rule allow =
        rule("try", Effect::kAllow, {CommandId::kExec, CommandId::kSetUserPassword, CommandId::kSetTime});
    ipc::ExecTemplate& program = allow.exec.emplace_back();
    program.set_program("/bin/a");
    allow.accounts.emplace();
    allow.accounts->set_any_user(true);
    allow.sets.emplace_back().mutable_time()->set_max_ms(1000);
    try_out(allow);
    const std::array<std::array<ipc::Request, 2>, 3> asked = [] {
        std::array<std::array<ipc::Request, 2>, 3> all;
        all[0][0].mutable_exec()->set_path("/bin/a");
        all[0][1].mutable_exec()->set_path("/bin/b");
        for (const int at : {0, 1}) {
            auto& password = *all[1][static_cast<std::size_t>(at)].mutable_set_user_password();
            password.set_username(at == 0 ? "alice" : "root");
            password.set_password("secret");
        }
        all[2][0].mutable_set_time()->set_time(wall_ns());
        all[2][1].mutable_set_time()->set_time(wall_ns() + 3600'000'000'000);
        return all;
    }();
    for (const auto& [good, bad] : asked) {
        EXPECT_FALSE(ask(good));
        EXPECT_EQ(reply().error().reason(), ipc::DISABLED);
        std::string text = line();
        EXPECT_TRUE(has(text, R"("would":"allow","would_rule":"try")") && has(text, "\"arguments\":{"))
            << text;
        EXPECT_FALSE(has(text, "secret")) << text;
        EXPECT_FALSE(ask(bad));
        EXPECT_EQ(reply().error().reason(), ipc::DISABLED);
        text = line();
        EXPECT_FALSE(has(text, "would")) << text;
    }
    EXPECT_TRUE(!session_->programs.start && !session_->accounts.work && !session_->settings.under_way);
}

// One worker serves a device for the whole run, and is greeted once.
TEST_F(DryRunOfRules, InHoursThatBeginAfterTheGreetingTheArgumentsDecideAndAreRecorded) {
    constexpr std::int64_t kHour = 3600;
    const ClockReading start = read_clocks();
    policy_.rules[0].commands.remove(CommandId::kShutdown);
    policy::Rule allow = rule("try", Effect::kAllow, {CommandId::kShutdown});
    allow.modes.set(static_cast<std::size_t>(policy::Mode::kReboot));
    allow.when = test::hours_from(start.wall, kHour, 3 * kHour);
    try_out(allow);
    EXPECT_TRUE(is_tried(CommandId::kShutdown)) << "the worker hears of it";
    EXPECT_FALSE(ask(shutdown("reboot")));
    EXPECT_EQ(reply().error().reason(), ipc::DISABLED);
    std::string text = line();
    EXPECT_FALSE(has(text, "would")) << text;
    session_->clock.look({.wall = start.wall + 2 * kHour, .boottime_ns = start.boottime_ns});
    EXPECT_FALSE(ask(shutdown("reboot")));
    EXPECT_EQ(reply().error().reason(), ipc::DISABLED);
    text = line();
    EXPECT_TRUE(has(text, R"("arguments":{"mode":"reboot"})") && has(text, R"("would":"allow")")) << text;
}

TEST_F(DryRunOfRules, AfterItsEndARuleDoesNothingMore) {
    policy::Rule allow = rule("try", Effect::kAllow, {CommandId::kGetLoad});
    allow.expires = 1;
    try_out(allow);
    EXPECT_FALSE(is_tried(CommandId::kGetLoad));
    EXPECT_FALSE(ask_about(CommandId::kGetLoad));
    const std::string text = line();
    EXPECT_FALSE(has(text, "would")) << text;
}

TEST_F(DryRunOfRules, TheFloorIsNeverTouched) {
    policy::Rule deny = rule("no", Effect::kDeny, {CommandId::kGetOsinfo});
    for (const Command& row : kCommands) deny.commands.add(row.id);
    try_out(deny);
    EXPECT_FALSE(ask(&ipc::Request::mutable_fsfreeze_thaw));
    EXPECT_TRUE(reply().has_fsfreeze_thaw());
    const std::string text = line();
    EXPECT_FALSE(has(text, "would")) << text;
}

TEST_F(DryRunOfRules, AFreezeIsJudgedAsACommand) {
    try_out(rule("no-freeze", Effect::kDeny, {CommandId::kFsfreezeFreeze}));
    EXPECT_FALSE(ask(&ipc::Request::mutable_fsfreeze_freeze));
    EXPECT_TRUE(order().has_freeze()) << "the guard is told all the same";
    ASSERT_TRUE(session_->freezing.freeze);
    EXPECT_EQ(session_->freezing.freeze->request.record.would, Would::kRefuse);
}

}  // namespace
}  // namespace sallyport::broker
