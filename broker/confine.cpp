// The other processes of the agent: started, confined, and proved while we can still look at them.
// Runs in:  broker, before lockdown()
#include "broker/confine.hpp"

#include <array>

#include "broker/guard_link.hpp"
#include "broker/launch.hpp"
#include "broker/prove.hpp"
#include "ipc/limits.hpp"
#include "sandbox/lockdown.hpp"

namespace sallyport::broker {

namespace {

constexpr std::array kWorkerPlaces{"../libexec/sallyport/worker", "../worker/worker"};
constexpr std::array kGuardPlaces{"../libexec/sallyport/guard", "guard/guard"};
constexpr std::array kLauncherPlaces{"../libexec/sallyport/launcher", "launcher/launcher"};
constexpr std::array kInspectorPlaces{"../libexec/sallyport/inspector", "../inspector/inspector"};

}  // namespace

Result<Freezing> confine_guard(const policy::Policy& policy, FdRef state) {
    Freezing freezing;
    const auto is_marked = guard::FrozenMark::is_set(state);
    if (!is_marked) return std::unexpected(is_marked.error());
    if (!*is_marked && !policy::needs_guard(policy)) return freezing;
    const auto is_free = HandleCounter::is_free(state);
    if (!is_free) return std::unexpected(is_free.error());
    if (!*is_free) return failure(Errc::kInvalid, "another agent uses this state directory");
    const auto program = open_helper(kGuardPlaces);
    if (!program) return std::unexpected(program.error());
    auto helper = start_guard(*program);
    if (!helper) return std::unexpected(helper.error());
    freezing.guard = std::move(helper->socket);
    if (const auto set = set_up_guard(freezing, policy, *is_marked, state); !set)
        return std::unexpected(set.error());
    if (const auto proved = prove_guard(*helper); !proved) return std::unexpected(proved.error());
    return freezing;
}

// But for the arena: what is locked cannot be wiped.
Status stay_in_memory(const Session& session) {
    if (!session.freezing.guard.is_open()) return {};
    if (const auto locked = sandbox::lock_memory(); !locked) return locked;
    return session.arena.unlock();
}

Status confine_nursery(Service& service) {
    const auto program = open_helper(kWorkerPlaces);
    if (!program) return std::unexpected(program.error());
    const PlainUser user = plain_user();
    auto nursery = start_nursery(*program, user);
    if (!nursery) return std::unexpected(nursery.error());
    service.nursery = *std::move(nursery);
    const auto proved = prove_nursery(service.nursery, user, service.session.arena);
    service.nursery.proc.reset();
    if (!proved) return proved;
    return service.session.arena.wipe();
}

Status confine_launcher(Service& service) {
    ipc::LauncherTable table = power_rows(service.session.policy);
    for (const policy::Rule& rule : service.session.policy.rules)
        if (!rule.hooks.empty() && table.hooks().empty()) table.add_hooks(rule.hooks);
    table.set_hook_deadline_ms(kHookDeadlineMs);
    if (table.rows().empty() && table.hooks().empty()) return {};
    const auto program = open_helper(kLauncherPlaces);
    if (!program) return std::unexpected(program.error());
    auto launcher = start_launcher(*program);
    if (!launcher) return std::unexpected(launcher.error());
    const auto proved = prove_launcher(*launcher, table);
    service.launcher = std::move(launcher->socket);
    return proved;
}

Status confine_inspector(Service& service) {
    CommandSet commands = policy::allowed_commands(service.session.policy);
    for (const Command& row : kCommands)
        if (row.answered_by != AnsweredBy::kInspector) commands.remove(row.id);
    if (commands.is_empty()) return {};
    const auto program = open_helper(kInspectorPlaces);
    if (!program) return std::unexpected(program.error());
    const PlainUser user = plain_user();
    auto inspector = start_inspector(*program, user, commands);
    if (!inspector) return std::unexpected(inspector.error());
    const auto proved = prove_inspector(*inspector, user);
    service.session.inspector = std::move(inspector->socket);
    return proved;
}

}  // namespace sallyport::broker
