// The examples of the manual pages. A test runs each of them, in a folder with the files that they name, and looks at its status.
// Runs in:  the policy tool
#pragma once

#include <array>
#include <string_view>

namespace sallyport::policy::cli {

struct Example {
    std::string_view verb;
    std::string_view line;
    std::string_view what;
    int status;
};

// clang-format off
inline constexpr std::array kExamples{
    Example{"apply",       "sallyport-policy apply --help", "What it asks for. To put a policy into force: sallyport-policy apply new.toml", 0},
    Example{"apply",       "sallyport-policy apply --drop-in 50-load.toml --to policy.toml --statedir state --yes --widen", "Put a file into the folder of the policy in force; here no agent is restarted, since none runs.", 0},
    Example{"bench",       "sallyport-policy bench policy.toml", "How long the decisions take here, command by command.", 0},
    Example{"can",         "sallyport-policy can policy.toml guest-file-open 'path=/srv/**' mode=r", "Which files below /srv a host can read.", 0},
    Example{"can",         "sallyport-policy can policy.toml guest-exec", "Whether a host can start any program: it cannot.", 3},
    Example{"cells",       "sallyport-policy cells policy.toml > all-cases.toml", "A complete file of cases, to keep beside the policy.", 0},
    Example{"check",       "sallyport-policy check policy.toml", "What is wrong, or what the policy allows.", 0},
    Example{"check",       "sallyport-policy check --json --stdin policy.toml < policy.toml", "The same for an editor, of a text that is not saved yet.", 0},
    Example{"check",       "sallyport-policy check --sarif broken.toml > policy.sarif", "For code review: each error with its place.", 1},
    Example{"compile",     "sallyport-policy compile policy.toml -o policy.bin", "The form that the agent reads.", 0},
    Example{"completion",  "sallyport-policy completion bash > sallyport-policy.bash", "Completion for bash; source the file.", 0},
    Example{"diff",        "sallyport-policy diff old.toml policy.toml", "What a host can do by the new policy and not by the old, each with a request.", 4},
    Example{"diff",        "sallyport-policy diff policy.toml old.toml", "The other way round, a host can do less.", 3},
    Example{"digest",      "sallyport-policy digest policy.toml", "By what the audit log knows the policy.", 0},
    Example{"digest",      "sallyport-policy digest --files policy.toml > policy.sums", "What is signed of a policy with a folder: ssh-keygen -Y sign -n sallyport-policy -f KEY policy.sums", 0},
    Example{"effective",   "sallyport-policy effective policy.toml", "All of it as one text, with what it includes.", 0},
    Example{"effective",   "sallyport-policy effective --json policy.toml", "The same for a program.", 0},
    Example{"explain",     "sallyport-policy explain policy.toml guest-file-open path=/etc/shadow", "Why that is refused, and what would have to change.", 3},
    Example{"fmt",         "sallyport-policy fmt --check policy.toml", "Whether it is laid out as policies are.", 0},
    Example{"freeze-plan", "sallyport-policy freeze-plan policy.toml", "What would be frozen here, in which order.", 0},
    Example{"import",      "sallyport-policy import qemu-ga.conf > imported.toml", "What a qemu-ga was left to do, as a policy; some of it is not safe.", 3},
    Example{"import",      "sallyport-policy import --strict -a guest-ping,guest-get-time > imported.toml", "The same of a list.", 0},
    Example{"learn",       "sallyport-policy learn audit.jsonl > learnt.toml", "The smallest rules that allow what the log has.", 0},
    Example{"manual",      "sallyport-policy manual diff | man -l -", "Read the manual page of a verb.", 0},
    Example{"metrics",     "sallyport-policy metrics audit.jsonl > sallyport.prom", "Numbers for node_exporter's textfile collector.", 0},
    Example{"privileges",  "sallyport-policy privileges", "What each process of the agent may do at the most.", 0},
    Example{"privileges",  "sallyport-policy privileges --json policy.toml", "The same for a program, with the places that this policy opens.", 0},
    Example{"report",      "sallyport-policy report --html report.html audit.jsonl", "What the log says on the whole, as a page.", 0},
    Example{"schema",      "sallyport-policy schema > policy.schema.json", "For editors: begin a policy with the line #:schema ./policy.schema.json", 0},
    Example{"simulate",    "sallyport-policy simulate policy.toml audit.jsonl", "What another policy would have answered.", 0},
    Example{"status",      "sallyport-policy status --statedir state --policy policy.toml", "How the agent is; here none runs.", 3},
    Example{"test",        "sallyport-policy test --min 30 policy.toml cases.toml", "Whether the policy answers as the cases expect, and enough of it is tried.", 0},
    Example{"unit",        "sallyport-policy unit policy.toml", "Which drop-ins of the systemd unit the policy needs.", 0},
    Example{"unused",      "sallyport-policy unused policy.toml audit.jsonl", "Which rules no request has needed.", 3},
    Example{"verify-log",  "sallyport-policy verify-log audit.jsonl", "Whether the lines are those that were written.", 0},
};
// clang-format on

}  // namespace sallyport::policy::cli
