// What the rules that only dry-run would make of a request: it is recorded, and nothing else comes of it.
// Runs in:  broker, after lockdown()
// Input:    canonical requests that were in order; their values still come from the worker
// INVARIANT: nothing is carried out, granted or told to another process by the copy of the policy that is kept here.
#pragma once

#include <optional>
#include <string_view>

#include "policy/accounts.hpp"
#include "policy/decide.hpp"
#include "policy/exec.hpp"
#include "policy/set.hpp"

namespace sallyport::broker {

struct Exchange;
class JsonLine;

/// The policy with its dry runs, and what follows from it.
struct DryRun {
    policy::Policy policy;
    policy::ExecTemplates programs;
    policy::AccountTemplates accounts;
    policy::SetRules settings;
};

/// Nothing if no rule dry-runs.
std::optional<DryRun> dry_run_of(const policy::Policy& policy);

/// By what requests are judged: the real policy, or that of the dry run.
struct Judging {
    const policy::Policy& policy;
    const policy::ExecTemplates& programs;
    const policy::AccountTemplates& accounts;
    const policy::SetRules& settings;
};

/// What rules say about a request. What only a process with rights finds out (the file's owner, which file systems are there) and
/// what depends on the agent's state is not looked at.
struct Ruling {
    bool is_allowed = false;
    std::string_view rule = {};  // that decided
};

/// Of commands whose arguments decide, and what the log shows of these.
Ruling judge_file_open(const Judging& by, const Exchange& exchange);
Ruling judge_shutdown(const Judging& by, const Exchange& exchange);
Ruling judge_exec(const Judging& by, const Exchange& exchange);
Ruling judge_account(const Judging& by, const Exchange& exchange);
Ruling judge_set(const Judging& by, const Exchange& exchange);
void describe_file_open(const Exchange& exchange, JsonLine& arguments);
void describe_shutdown(const Exchange& exchange, JsonLine& arguments);
void describe_exec(const Exchange& exchange, JsonLine& arguments);
void describe_account(const Exchange& exchange, JsonLine& arguments);
void describe_set(const Exchange& exchange, JsonLine& arguments);

/// Notes in the request's record what the dry run would have made of it, if that is not what is made of it. `is_allowed`: the real
/// policy allows the command as such; else the record gets the arguments, too, which nobody writes down after that.
void note_dry_run(Exchange& exchange, bool is_allowed);

}  // namespace sallyport::broker
