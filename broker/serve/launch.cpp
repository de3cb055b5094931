// The broker's end of the conversation with the launcher, and the ways of ending and suspending the guest.
// Runs in:  broker; the table before lockdown()
// Input:    frames of the launcher
#include "broker/serve/launch.hpp"

#include <algorithm>
#include <array>

#include "ipc/channel.hpp"
#include "ipc/codec.hpp"
#include "ipc/limits.hpp"

namespace sallyport::broker {

namespace {

using policy::Method;
using policy::Mode;
using Words = std::array<const char*, 5>;

// As in qemu-ga: a probe, and the exit statuses of which it must return one.
enum class Probe : std::uint8_t { kNone, kZero, kUnitStatus };

/// One way of carrying out an action. The ways of an action stand in the order in which they are tried.
struct Strategy {
    ipc::Request::CommandCase action;
    Mode mode;
    Method method;
    Words program;  // if all are unset, the kernel is asked
    ipc::KernelAction kernel;
    Words probe;
    Probe said;
};

constexpr Words kNothing{};
constexpr const char* kBooted = "/run/systemd/system";  // systemd is the init that runs
constexpr const char* kCtl = "/usr/bin/systemctl";
constexpr const char* kShutdown = "/sbin/shutdown";
constexpr const char* kWhy = "hypervisor initiated shutdown";
constexpr const char* kAsk = "/usr/bin/pm-is-supported";
constexpr auto kNoKernel = ipc::KERNEL_ACTION_UNSPECIFIED;
using Op = ipc::Request;

// clang-format off
constexpr std::array kStrategies{
    //       action               mode              by                 program                                        kernel              probe                                  said
    Strategy{Op::kShutdown,       Mode::kPowerdown, Method::kSystemd,  {kCtl, "poweroff"},                            kNoKernel,          kNothing,                              Probe::kNone},
    Strategy{Op::kShutdown,       Mode::kPowerdown, Method::kInit,     {kShutdown, "-h", "-P", "+0", kWhy},           kNoKernel,          kNothing,                              Probe::kNone},
    Strategy{Op::kShutdown,       Mode::kPowerdown, Method::kInit,     {"/sbin/poweroff"},                            kNoKernel,          kNothing,                              Probe::kNone},
    Strategy{Op::kShutdown,       Mode::kPowerdown, Method::kKernel,   kNothing,                                      ipc::POWER_OFF,     kNothing,                              Probe::kNone},
    Strategy{Op::kShutdown,       Mode::kHalt,      Method::kSystemd,  {kCtl, "halt"},                                kNoKernel,          kNothing,                              Probe::kNone},
    Strategy{Op::kShutdown,       Mode::kHalt,      Method::kInit,     {kShutdown, "-h", "-H", "+0", kWhy},           kNoKernel,          kNothing,                              Probe::kNone},
    Strategy{Op::kShutdown,       Mode::kHalt,      Method::kInit,     {"/sbin/halt"},                                kNoKernel,          kNothing,                              Probe::kNone},
    Strategy{Op::kShutdown,       Mode::kHalt,      Method::kKernel,   kNothing,                                      ipc::HALT,          kNothing,                              Probe::kNone},
    Strategy{Op::kShutdown,       Mode::kReboot,    Method::kSystemd,  {kCtl, "reboot"},                              kNoKernel,          kNothing,                              Probe::kNone},
    Strategy{Op::kShutdown,       Mode::kReboot,    Method::kInit,     {kShutdown, "-h", "-r", "+0", kWhy},           kNoKernel,          kNothing,                              Probe::kNone},
    Strategy{Op::kShutdown,       Mode::kReboot,    Method::kInit,     {"/sbin/reboot"},                              kNoKernel,          kNothing,                              Probe::kNone},
    Strategy{Op::kShutdown,       Mode::kReboot,    Method::kKernel,   kNothing,                                      ipc::REBOOT,        kNothing,                              Probe::kNone},
    Strategy{Op::kSuspendRam,     Mode::kNone,      Method::kSystemd,  {kCtl, "suspend"},                             kNoKernel,          {kCtl, "status", "systemd-suspend"},      Probe::kUnitStatus},
    Strategy{Op::kSuspendRam,     Mode::kNone,      Method::kPmUtils,  {"/usr/sbin/pm-suspend"},                      kNoKernel,          {kAsk, "--suspend"},                   Probe::kZero},
    Strategy{Op::kSuspendRam,     Mode::kNone,      Method::kKernel,   kNothing,                                      ipc::SLEEP_TO_RAM,  kNothing,                              Probe::kNone},
    Strategy{Op::kSuspendDisk,    Mode::kNone,      Method::kSystemd,  {kCtl, "hibernate"},                           kNoKernel,          {kCtl, "status", "systemd-hibernate"},    Probe::kUnitStatus},
    Strategy{Op::kSuspendDisk,    Mode::kNone,      Method::kPmUtils,  {"/usr/sbin/pm-hibernate"},                    kNoKernel,          {kAsk, "--hibernate"},                 Probe::kZero},
    Strategy{Op::kSuspendDisk,    Mode::kNone,      Method::kKernel,   kNothing,                                      ipc::SLEEP_TO_DISK, kNothing,                              Probe::kNone},
    Strategy{Op::kSuspendHybrid,  Mode::kNone,      Method::kSystemd,  {kCtl, "hybrid-sleep"},                        kNoKernel,          {kCtl, "status", "systemd-hybrid-sleep"}, Probe::kUnitStatus},
    Strategy{Op::kSuspendHybrid,  Mode::kNone,      Method::kPmUtils,  {"/usr/sbin/pm-suspend-hybrid"},               kNoKernel,          {kAsk, "--suspend-hybrid"},            Probe::kZero},
};
// clang-format on

constexpr std::array kSuspends{std::pair{CommandId::kSuspendRam, Op::kSuspendRam},
                               std::pair{CommandId::kSuspendDisk, Op::kSuspendDisk},
                               std::pair{CommandId::kSuspendHybrid, Op::kSuspendHybrid}};

bool is_of_row(const Strategy& strategy, std::uint32_t row) {
    return row == power_row(strategy.action, strategy.mode, Method::kAny) ||
           row == power_row(strategy.action, strategy.mode, strategy.method);
}

template <typename Field>
void add_words(const Words& words, Field* to) {
    for (const char* word : words)
        if (word != nullptr) *to->Add() = word;
}

ipc::Attempt attempt_of(const Strategy& strategy) {
    ipc::Attempt attempt;
    if (strategy.method == Method::kSystemd) attempt.set_needs(kBooted);
    add_words(strategy.program, attempt.mutable_program());
    add_words(strategy.probe, attempt.mutable_probe());
    attempt.set_kernel(strategy.kernel);
    if (strategy.said == Probe::kZero) attempt.add_supported(0);
    if (strategy.said == Probe::kUnitStatus)
        for (const int status : {1, 2, 3}) attempt.add_supported(status);
    return attempt;
}

// A shutdown that init refuses stays refused: the kernel is asked only where there is no init to ask.
void add_row(std::uint32_t number, bool first_only, ipc::LauncherTable& table) {
    for (const ipc::LauncherRow& row : table.rows())
        if (row.number() == number) return;
    ipc::LauncherRow& row = *table.add_rows();
    row.set_number(number);
    row.set_first_only(first_only);
    for (const Strategy& strategy : kStrategies)
        if (is_of_row(strategy, number)) *row.add_attempts() = attempt_of(strategy);
    const auto asks = [](const ipc::Attempt& attempt) { return attempt.kernel() != kNoKernel; };
    if (std::ranges::any_of(row.attempts(), asks)) table.set_asks_kernel(true);
}

}  // namespace

std::uint32_t power_row(ipc::Request::CommandCase action, Mode mode, Method method) {
    return (static_cast<std::uint32_t>(action) * 4 + static_cast<std::uint32_t>(mode)) * 8 +
           static_cast<std::uint32_t>(method);
}

ipc::LauncherTable power_rows(const policy::Policy& policy) {
    ipc::LauncherTable table;
    table.set_deadline_ms(kPowerDeadlineMs);
    const policy::Reach reach = policy::reach_of(policy);
    for (const policy::Rule& rule : policy.rules) {
        if (rule.effect == policy::Effect::kDeny) continue;
        const auto is_wanted = [&](CommandId command) {
            return rule.commands.has(command) && reach.commands.has(command);
        };
        const auto modes = rule.modes & reach.modes;
        for (const Mode mode : {Mode::kHalt, Mode::kPowerdown, Mode::kReboot})
            if (is_wanted(CommandId::kShutdown) && modes.test(static_cast<std::size_t>(mode)))
                add_row(power_row(Op::kShutdown, mode, rule.method), true, table);
        for (const auto& [command, action] : kSuspends)
            if (is_wanted(command)) add_row(power_row(action, Mode::kNone, rule.method), false, table);
    }
    return table;
}

Method method_of(std::uint32_t row, std::uint32_t attempt) {
    for (const Strategy& strategy : kStrategies)
        if (is_of_row(strategy, row) && attempt-- == 0) return strategy.method;
    return Method::kAny;
}

Status tell_launcher(FdRef launcher, const google::protobuf::MessageLite& message) {
    if (!ipc::say(launcher, message, ipc::WhenFull::kFail))
        return failure(Errc::kClosed, "the launcher is lost");
    return {};
}

Result<std::optional<ipc::LauncherReply>> hear_launcher(FdRef launcher) {
    ipc::Frame frame;
    const auto received = ipc::receive(launcher, frame);
    if (!received) return failure(Errc::kClosed, "the launcher is lost");
    if (!*received) return std::optional<ipc::LauncherReply>();
    ipc::LauncherReply reply;
    std::string scratch;
    TRY(ipc::decode(frame.bytes, reply, scratch));
    if (reply.op_case() == ipc::LauncherReply::OP_NOT_SET)
        return failure(Errc::kInvalid, "launcher: unexpected frame");
    return std::optional(std::move(reply));
}

}  // namespace sallyport::broker
