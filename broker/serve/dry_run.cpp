// Runs in:  broker, after lockdown()
#include "broker/serve/dry_run.hpp"

#include <array>

#include "broker/serve/answer.hpp"

namespace sallyport::broker {

namespace {

struct Judge {
    CommandId command;
    Ruling (*judge)(const Judging&, const Exchange&);
    void (*describe)(const Exchange&, JsonLine&);
};

// Every other command is decided as such.
constexpr std::array kJudges{
    Judge{CommandId::kFileOpen, judge_file_open, describe_file_open},
    Judge{CommandId::kShutdown, judge_shutdown, describe_shutdown},
    Judge{CommandId::kExec, judge_exec, describe_exec},
    Judge{CommandId::kSetUserPassword, judge_account, describe_account},
    Judge{CommandId::kSshGetAuthorizedKeys, judge_account, describe_account},
    Judge{CommandId::kSshAddAuthorizedKeys, judge_account, describe_account},
    Judge{CommandId::kSshRemoveAuthorizedKeys, judge_account, describe_account},
    Judge{CommandId::kSetTime, judge_set, describe_set},
    Judge{CommandId::kSetVcpus, judge_set, describe_set},
    Judge{CommandId::kSetMemoryBlocks, judge_set, describe_set},
};

const Judge* find_judge(CommandId command) {
    for (const Judge& one : kJudges)
        if (one.command == command) return &one;
    return nullptr;
}

Ruling judge(const Judging& by, const Exchange& exchange) {
    const CommandId command = *exchange.request.command();
    const auto whole = policy::decide_command(by.policy, command, exchange.session.clock.now());
    const Judge* const one = find_judge(command);
    if (one == nullptr || !whole.is_allowed())
        return {.is_allowed = whole.is_allowed(), .rule = rule_id(by.policy, whole)};
    return one->judge(by, exchange);
}

}  // namespace

std::optional<DryRun> dry_run_of(const policy::Policy& policy) {
    if (policy.dry_runs.empty()) return std::nullopt;
    DryRun dry_run;
    dry_run.policy = policy::with_dry_runs(policy);
    dry_run.programs = policy::exec_templates(dry_run.policy);
    dry_run.accounts = policy::account_templates(dry_run.policy);
    dry_run.settings = policy::set_rules(dry_run.policy);
    return dry_run;
}

void note_dry_run(Exchange& exchange, bool is_allowed) {
    const Session& session = exchange.session;
    const CommandId command = *exchange.request.command();
    if (!session.dry_run) return;
    const DryRun& dry_run = *session.dry_run;
    const Ruling real = judge({.policy = session.policy,
                               .programs = session.programs.templates,
                               .accounts = session.accounts.templates,
                               .settings = session.settings.rules},
                              exchange);
    const Ruling tried = judge({.policy = dry_run.policy,
                                .programs = dry_run.programs,
                                .accounts = dry_run.accounts,
                                .settings = dry_run.settings},
                               exchange);
    if (real.is_allowed == tried.is_allowed) return;
    Record& record = exchange.request.record;
    record.would = tried.is_allowed ? Would::kAllow : Would::kRefuse;
    record.would_rule = tried.rule;
    const Judge* const one = find_judge(command);
    if (!is_allowed && one != nullptr) one->describe(exchange, record.arguments);
}

}  // namespace sallyport::broker
