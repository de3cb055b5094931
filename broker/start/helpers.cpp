// Runs in:  starter
#include "broker/start/helpers.hpp"

#include <fcntl.h>
#include <sys/stat.h>

#include <array>
#include <charconv>

#include "broker/files/needs.hpp"
#include "broker/guard/mark.hpp"
#include "broker/serve/guard_link.hpp"
#include "broker/serve/launch.hpp"
#include "broker/serve/workers.hpp"
#include "broker/start/kept_state.hpp"
#include "broker/start/prove.hpp"
#include "ipc/codec.hpp"
#include "ipc/limits.hpp"
#include "sandbox/lockdown.hpp"

namespace sallyport::starter {

namespace {

// Sends the guard its rows and has it lock down. `is_marked`: an earlier run left the mark.
Status tell_rows(FdRef guard, const policy::Policy& policy, bool is_marked, FdRef state) {
    ipc::GuardRequest request;
    const auto rules = policy::freeze_rules(policy);
    if (rules.size() > kMaxFreezeRows) return failure(Errc::kLimit, "more than 64 rules with 'freeze'");
    for (const std::size_t at : rules) {
        *request.mutable_add_row()->mutable_selection() = *policy.rules[at].freeze;
        TRY(broker::tell_guard(guard, request));
    }
    struct statx info{};
    if (::statx(state.get(), "", AT_EMPTY_PATH, STATX_MNT_ID, &info) != 0) return system_error("statx");
    request.mutable_lock()->set_take_over(is_marked);
    request.mutable_lock()->set_state_mount(info.stx_mnt_id);
    return broker::tell_guard(guard, request);
}

Result<ipc::GuardReply> decoded(std::string_view frame) {
    ipc::GuardReply reply;
    std::string scratch;
    TRY(ipc::decode(frame, reply, scratch));
    return reply;
}

// Whether file systems are still frozen. If the state directory is on one of them, the guard thaws them first.
Result<bool> is_still_frozen(FdRef guard, std::string_view said) {
    const ipc::GuardReady ready = TRY(decoded(said)).ready();
    if (!ready.thaws()) return ready.frozen() > 0;
    const std::string next = TRY(await_frame(guard));
    const ipc::GuardReply reply = TRY(decoded(next));
    if (!reply.has_thawed() || reply.thawed().left() > 0)
        return failure(Errc::kInvalid, "the state directory's file system cannot be thawed");
    return false;
}

// The inspector's part of the policy: what each rule shows.
ipc::ReplyRules reply_rules(const policy::Policy& policy, CommandSet commands) {
    ipc::ReplyRules rules;
    for (const policy::Rule& rule : policy.rules) {
        CommandSet shown = rule.commands;
        shown &= commands;
        if (rule.effect != policy::Effect::kAllow || shown.is_empty()) continue;
        ipc::ReplyRule& row = *rules.add_rules();
        for (const Command& command : kCommands)
            if (shown.has(command.id)) row.add_commands(static_cast<std::uint32_t>(command.id));
        policy::set_live(rule, *row.mutable_live());
        if (rule.reply) *row.mutable_filter() = *rule.reply;
    }
    return rules;
}

// What the hand says in its first frame.
Result<FilesHand> hand_of(std::string_view said, const policy::Policy& policy) {
    ipc::FilesReply reply;
    std::string scratch;
    TRY(ipc::decode(said, reply, scratch));
    FilesHand hand{.socket = {}, .unseen = {}, .not_kept = reply.files_ready().not_kept()};
    for (const auto& one : reply.files_ready().unseen()) {
        if (one.rule() >= policy.rules.size() || one.file() >= policy.rules[one.rule()].files.size())
            return failure(Errc::kInvalid, "it names a rule that there is not");
        hand.unseen.push_back({.rule = one.rule(), .file = one.file()});
    }
    return hand;
}

// What a host may have started, set, or done to accounts. The launcher decides about that once more, by the latest time that is known.
void add_programs(const policy::Policy& policy, policy::WallTime floor, ipc::LauncherTable& table) {
    *table.mutable_exec() = policy::exec_templates(policy);
    table.set_floor(floor);
    *table.mutable_accounts() = policy::account_templates(policy);
    table.set_takes_users(!table.exec().empty() || !table.accounts().empty());
    for (const ipc::ExecTemplate& one : table.exec())
        if (one.confine().no_network()) table.set_cuts_network(true);
    *table.mutable_sets() = policy::set_rules(policy);
    table.set_set_deadline_ms(kSetMs);
}

}  // namespace

Checked<Guard> start_guard(const policy::Policy& policy, FdRef state) {
    const bool is_marked = TRY(guard::FrozenMark::is_set(state));
    if (!is_marked && policy::freeze_rules(policy).empty()) return Guard();
    TRY(refuse_used(state));
    Running guard = TRY(start(kGuard, {}));
    TRY(of(kGuard, tell_rows(guard.socket, policy, is_marked, state)));
    const std::string said = TRY(prove(kGuard, guard, bits_of(sandbox::guard_capabilities())));
    const bool is_frozen = TRY(of(kGuard, is_still_frozen(guard.socket, said)));
    return Guard{.socket = std::move(guard.socket), .is_frozen = is_frozen};
}

Checked<UniqueFd> start_recorder(const policy::AuditTerms& terms, const RecorderFiles& files) {
    Running recorder =
        TRY(start(kRecorder, {.words = {std::to_string(terms.max_size), std::to_string(terms.keep),
                                        terms.goes_on ? "let-go" : "wait"},
                              .state = files.state,
                              .ring = files.ring,
                              .clock = files.clock,
                              .budgets = files.budgets}));
    TRY(prove(kRecorder, recorder, 0));
    return std::move(recorder.socket);
}

Checked<FilesHand> start_files(const FilesTerms& terms, FdRef state) {
    if (!policy::reach_of(terms.policy).commands.has(CommandId::kFileOpen)) return FilesHand();
    const sandbox::FilesNeeds needs = files::needs_of(terms.policy, terms.seen);
    ipc::FilesSetup setup;
    setup.set_policy(terms.compiled);
    for (const std::string& path : terms.own) setup.add_own(path);
    setup.set_floor(terms.floor);
    for (const ipc::SeenPath& seen : terms.seen) *setup.add_seen() = seen;
    std::string bytes;
    ipc::encode(setup, bytes);
    const UniqueFd memory = TRY(about(kFiles.name, sealed(bytes)));
    Running files = TRY(start(kFiles, {.state = state, .setup = memory}));
    const std::string said = TRY(prove(kFiles, files, bits_of(sandbox::files_capabilities(needs))));
    FilesHand hand = TRY(of(kFiles, hand_of(said, terms.policy)));
    hand.socket = std::move(files.socket);
    return hand;
}

Checked<UniqueFd> start_nursery() {
    Running nursery = TRY(start(kNursery, {}));
    TRY(prove(kNursery, nursery, 0));
    TRY(rehearse(nursery));
    return std::move(nursery.socket);
}

Checked<UniqueFd> start_launcher(const policy::Policy& policy, policy::WallTime floor,
                                 const ProgramGroups& groups) {
    ipc::LauncherTable table = broker::power_rows(policy);
    for (const std::size_t at : policy::freeze_rules(policy))
        if (const std::string& hooks = policy.rules[at].hooks; !hooks.empty() && table.hooks().empty())
            table.add_hooks(hooks);
    table.set_hook_deadline_ms(kHookDeadlineMs);
    add_programs(policy, floor, table);
    const bool is_empty = table.rows().empty() && table.hooks().empty() && table.exec().empty() &&
                          table.accounts().empty() && table.sets().empty();
    if (is_empty) return UniqueFd();
    table.set_has_groups(groups.directory.is_open());
    table.set_groups_bind(groups.has_bounds);
    Running launcher = TRY(start(kLauncher, {.groups = groups.directory}));
    TRY(of(kLauncher, broker::tell_launcher(launcher.socket, table)));
    TRY(prove(kLauncher, launcher,
              bits_of(sandbox::launcher_capabilities({.asks_kernel = table.asks_kernel(),
                                                      .takes_users = table.takes_users(),
                                                      .cuts_network = table.cuts_network()}))));
    return std::move(launcher.socket);
}

Checked<UniqueFd> start_inspector(const policy::Policy& policy) {
    CommandSet commands = policy::reach_of(policy).commands;
    for (const Command& row : kCommands)
        if (row.answered_by != AnsweredBy::kInspector) commands.remove(row.id);
    if (commands.is_empty()) return UniqueFd();
    std::array<char, 20> bits{};
    std::to_chars(bits.begin(), bits.end(), commands.bits(), 16);
    Running inspector = TRY(start(kInspector, {.words = {bits.data()}}));
    TRY(of(kInspector, broker::tell_inspector(inspector.socket, reply_rules(policy, commands))));
    TRY(prove(kInspector, inspector, 0));
    return std::move(inspector.socket);
}

}  // namespace sallyport::starter
