// The other processes of the agent: started, confined, and proved while we can still look at them.
// Runs in:  broker, before lockdown()
#include "broker/confine.hpp"

#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <array>

#include "broker/files/needs.hpp"
#include "broker/guard_link.hpp"
#include "broker/launch.hpp"
#include "broker/prove.hpp"
#include "ipc/codec.hpp"
#include "ipc/limits.hpp"
#include "sandbox/lockdown.hpp"

namespace sallyport::broker {

namespace {

constexpr std::array kWorkerPlaces{"../libexec/sallyport/worker", "../worker/worker"};
constexpr std::array kGuardPlaces{"../libexec/sallyport/guard", "guard/guard"};
constexpr std::array kLauncherPlaces{"../libexec/sallyport/launcher", "launcher/launcher"};
constexpr std::array kRecorderPlaces{"../libexec/sallyport/recorder", "recorder/recorder"};
constexpr std::array kFilesPlaces{"../libexec/sallyport/files", "files/files"};
constexpr std::array kInspectorPlaces{"../libexec/sallyport/inspector", "../inspector/inspector"};

// What starting and proving a process gave, with its name.
template <typename T>
Checked<T> of(const char* process, Result<T> result) {
    if (!result && result.error().code == Errc::kClosed)
        result =
            failure(Errc::kProof,
                    "it ended before it was ready: it says above why, or could not confine itself (does this "
                    "kernel offer Landlock and seccomp?)");
    return about(process, std::move(result));
}

// A memory file that nobody can change.
Result<UniqueFd> sealed(std::string_view bytes) {
    UniqueFd file(::memfd_create("sallyport-setup", MFD_CLOEXEC | MFD_ALLOW_SEALING));
    if (!file.is_open()) return system_error("memfd_create");
    if (::write(file.get(), bytes.data(), bytes.size()) != static_cast<ssize_t>(bytes.size()))
        return system_error("write");
    if (::fcntl(file.get(), F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE | F_SEAL_SEAL) != 0)
        return system_error("F_ADD_SEALS");
    return file;
}

// What the inspector gets of the policy: of each rule that shows something, what.
ipc::ReplyRules reply_rules(const policy::Policy& policy, CommandSet commands) {
    ipc::ReplyRules rules;
    for (const policy::Rule& rule : policy.rules) {
        CommandSet shown = rule.commands;
        shown &= commands;
        if (rule.effect != policy::Effect::kAllow || shown.is_empty()) continue;
        ipc::ReplyRule& row = *rules.add_rules();
        for (const Command& command : kCommands)
            if (shown.has(command.id)) row.add_commands(static_cast<std::uint32_t>(command.id));
        if (rule.expires) row.set_expires(*rule.expires);
        if (rule.reply) *row.mutable_filter() = *rule.reply;
    }
    return rules;
}

}  // namespace

Checked<Freezing> confine_guard(const policy::Policy& policy, FdRef state) {
    Freezing freezing;
    const bool is_marked = TRY(guard::FrozenMark::is_set(state));
    if (!is_marked && !policy::needs_guard(policy)) return freezing;
    if (!TRY(HandleCounter::is_free(state)))
        return failure(Errc::kInvalid, "another agent uses this state directory");
    const Executable program = TRY(open_helper(kGuardPlaces));
    Helper helper = TRY(about(program.path, start_guard(program.file)));
    freezing.guard = std::move(helper.socket);
    TRY(of("guard", set_up_guard(freezing, policy, is_marked, state)));
    TRY(of("guard", prove_guard(helper)));
    return freezing;
}

Status stay_in_memory(const Session& session) {
    if (!session.freezing.guard.is_open()) return {};
    return sandbox::lock_memory();
}

Checked<Audit> confine_recorder(const policy::Policy& policy, FdRef state, const KeptTime& kept_time) {
    const Executable program = TRY(open_helper(kRecorderPlaces));
    ipc::Ring ring = TRY(about("recorder", ipc::Ring::create()));
    Helper helper = TRY(
        about(program.path, start_recorder(program.file, {state, ring.fd(), kept_time.file}, policy.audit)));
    TRY(of("recorder", prove_recorder(helper)));
    return about("recorder", Audit::open(std::move(ring), std::move(helper.socket), policy));
}

Checked<FilesHand> confine_files(const FilesTerms& terms, FdRef state) {
    if (!policy::allowed_commands(terms.policy).has(CommandId::kFileOpen)) return FilesHand();
    TRY(files::refuse_links(terms.policy));
    std::vector<UniqueFd> trees;
    const sandbox::FilesNeeds needs = TRY(files::needs_of(terms.policy, trees));
    ipc::FilesSetup setup;
    setup.set_policy(terms.compiled);
    for (const std::string& path : terms.own) setup.add_own(path);
    setup.set_floor(terms.floor);
    std::string bytes;
    ipc::encode(setup, bytes);
    const UniqueFd memory = TRY(about("files", sealed(bytes)));
    const Executable program = TRY(open_helper(kFilesPlaces));
    Helper helper = TRY(about(program.path, start_files(program.file, memory, state)));
    return of("files", prove_files(helper, needs));
}

Checked<void> confine_nursery(Service& service) {
    const PlainUser user = TRY(plain_user());
    const Executable program = TRY(open_helper(kWorkerPlaces));
    service.nursery = TRY(about(program.path, start_nursery(program.file, user)));
    TRY(of("worker", prove_nursery(service.nursery, user)));
    service.nursery.proc.reset();
    service.nursery.status.reset();
    return {};
}

Checked<void> confine_launcher(Service& service) {
    ipc::LauncherTable table = power_rows(service.session.policy);
    for (const policy::Rule& rule : service.session.policy.rules)
        if (!rule.hooks.empty() && table.hooks().empty()) table.add_hooks(rule.hooks);
    table.set_hook_deadline_ms(kHookDeadlineMs);
    if (table.rows().empty() && table.hooks().empty()) return {};
    const Executable program = TRY(open_helper(kLauncherPlaces));
    Helper launcher = TRY(about(program.path, start_launcher(program.file)));
    TRY(of("launcher", prove_launcher(launcher, table)));
    service.launcher = std::move(launcher.socket);
    return {};
}

Checked<void> confine_inspector(Service& service) {
    CommandSet commands = policy::allowed_commands(service.session.policy);
    for (const Command& row : kCommands)
        if (row.answered_by != AnsweredBy::kInspector) commands.remove(row.id);
    if (commands.is_empty()) return {};
    const PlainUser user = TRY(plain_user());
    const Executable program = TRY(open_helper(kInspectorPlaces));
    Helper inspector = TRY(about(program.path, start_inspector(program.file, user, commands)));
    TRY(of("inspector", prove_inspector(inspector, user, reply_rules(service.session.policy, commands))));
    service.session.inspector = std::move(inspector.socket);
    return {};
}

}  // namespace sallyport::broker
