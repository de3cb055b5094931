// The launcher's table: a row for each thing that the policy may let the host do at some time, and no other.
#include "broker/serve/launch.hpp"

#include <gtest/gtest.h>

#include <set>

namespace sallyport::broker {
namespace {

using policy::Effect;
using policy::Method;
using policy::Mode;
using Op = ipc::Request;

constexpr std::array kPower{CommandId::kShutdown, CommandId::kSuspendRam, CommandId::kSuspendDisk,
                            CommandId::kSuspendHybrid};

policy::Rule rule(Effect effect, std::initializer_list<CommandId> commands,
                  std::initializer_list<Mode> modes) {
    policy::Rule rule{.effect = effect};
    for (const CommandId command : commands) rule.commands.add(command);
    for (const Mode mode : modes) rule.modes.set(static_cast<std::size_t>(mode));
    return rule;
}

policy::Rule all_of_power() {
    return rule(Effect::kAllow, {kPower[0], kPower[1], kPower[2], kPower[3]},
                {Mode::kHalt, Mode::kPowerdown, Mode::kReboot});
}

ipc::LauncherTable rows_of(std::vector<policy::Rule> rules) {
    policy::Policy policy{.rules = std::move(rules)};
    for (const Command& row : kCommands) policy.narrowed_to.add(row.id);
    return power_rows(policy);
}

std::set<std::uint32_t> numbers(const ipc::LauncherTable& table) {
    std::set<std::uint32_t> all;
    for (const ipc::LauncherRow& row : table.rows()) all.insert(row.number());
    return all;
}

std::uint32_t number(Op::CommandCase action, Mode mode = Mode::kNone, Method method = Method::kAny) {
    return power_row(action, mode, method);
}

TEST(PowerRows, AreThoseThatAreAllowed) {
    const auto table = rows_of({all_of_power()});
    EXPECT_EQ(numbers(table),
              (std::set{number(Op::kShutdown, Mode::kHalt), number(Op::kShutdown, Mode::kPowerdown),
                        number(Op::kShutdown, Mode::kReboot), number(Op::kSuspendRam),
                        number(Op::kSuspendDisk), number(Op::kSuspendHybrid)}));
    EXPECT_TRUE(table.asks_kernel());
}

TEST(PowerRows, LoseTheModesAndCommandsThatAreDeniedForEver) {
    const auto no_modes = rule(Effect::kDeny, {CommandId::kShutdown}, {Mode::kHalt, Mode::kReboot});
    const auto no_suspend = rule(Effect::kDeny, {CommandId::kSuspendRam, CommandId::kSuspendDisk}, {});
    EXPECT_EQ(numbers(rows_of({all_of_power(), no_modes, no_suspend})),
              (std::set{number(Op::kShutdown, Mode::kPowerdown), number(Op::kSuspendHybrid)}));
    const auto no_down = rule(Effect::kDeny, {CommandId::kShutdown}, {Mode::kPowerdown});
    const auto table = rows_of({all_of_power(), no_modes, no_suspend, no_down});
    EXPECT_EQ(numbers(table), std::set{number(Op::kSuspendHybrid)});
    EXPECT_FALSE(table.asks_kernel()) << "it would keep CAP_SYS_BOOT";
}

TEST(PowerRows, LoseNothingByADenialThatExpires) {
    auto for_now = rule(Effect::kDeny, {CommandId::kShutdown}, {});
    for_now.expires = 1;
    EXPECT_EQ(numbers(rows_of({for_now, all_of_power()})), numbers(rows_of({all_of_power()})));
}

TEST(PowerRows, AreByTheMethodOfEachRule) {
    auto by_kernel = rule(Effect::kAllow, {CommandId::kShutdown}, {Mode::kHalt});
    by_kernel.method = Method::kKernel;
    const auto by_any = rule(Effect::kAllow, {CommandId::kShutdown}, {Mode::kHalt});
    EXPECT_EQ(
        numbers(rows_of({by_kernel, by_any})),
        (std::set{number(Op::kShutdown, Mode::kHalt, Method::kKernel), number(Op::kShutdown, Mode::kHalt)}));
}

}  // namespace
}  // namespace sallyport::broker
