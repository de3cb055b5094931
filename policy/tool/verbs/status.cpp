// status: how the agent of this machine is, as its log, its state directory and /proc show it.
#include <algorithm>
#include <ctime>
#include <string>

#include "policy/decide.hpp"
#include "policy/tool/compile/problems.hpp"
#include "policy/tool/verbs/agent_state.hpp"
#include "policy/tool/verbs/confined.hpp"
#include "policy/tool/verbs/files.hpp"
#include "policy/tool/verbs/json.hpp"
#include "policy/tool/verbs/kept_budgets.hpp"
#include "policy/tool/verbs/policies.hpp"
#include "policy/tool/verbs/verb.hpp"
#include "sandbox/lockdown.hpp"

namespace sallyport::policy::cli {

namespace {

constexpr int kToLookAt = 3;
constexpr std::time_t kHour = 3600;

struct Seen {
    std::optional<bool> runs;
    std::optional<std::time_t> frozen;
    std::string on_disk;  // digest of the policy on disk; empty if it cannot be used
    LogFacts log;
    std::optional<std::vector<LeftBudget>> budgets;
    std::time_t now = 0;

    [[nodiscard]] bool is_on_disk() const { return log.policy == on_disk.substr(0, kDigestShown); }
    [[nodiscard]] std::uint64_t count(const std::string& verdict) const {
        const auto found = log.verdicts.find(verdict);
        return found == log.verdicts.end() ? 0 : found->second;
    }
    [[nodiscard]] bool is_fine() const {
        return runs.value_or(false) && !frozen && is_on_disk() && log.lost == 0;
    }
};

std::string digest_of(const std::string& path) {
    const auto input = open_input(path);
    const auto compiled = input ? compile_apart(*input) : std::nullopt;
    if (!compiled) return {};
    const auto policy = load(*compiled);
    return policy ? hexadecimal(policy->digest) : "";
}

std::string agent_line(const Seen& seen) {
    if (!seen.runs) return "agent: cannot be told from /proc\n";
    if (!seen.log.start && !seen.log.is_whole)
        return *seen.runs ? "agent: runs; its start is further back in its log than is looked\n"
                          : "agent: does not run; its log is large, and the last start further back\n";
    if (!seen.log.start)
        return *seen.runs ? "agent: runs; its log cannot be read\n" : "agent: does not run, and has no log\n";
    const LogFacts::Start& start = *seen.log.start;
    const std::string begun = "started " + compile::printable(start.time) + ", version " +
                              compile::printable(start.version) + ", run " + compile::printable(start.run);
    if (*seen.runs) return "agent: runs; " + begun + "\n";
    return "agent: does not run; last " + begun +
           (seen.log.stop.empty() ? ", and ended without a word"
                                  : "; stopped: " + compile::printable(seen.log.stop)) +
           "\n";
}

std::string policy_line(const Seen& seen, const std::string& path) {
    std::string text =
        "policy: " + (seen.log.policy.empty() ? "unknown" : compile::printable(seen.log.policy));
    const std::string shown = compile::printable(path);
    if (seen.on_disk.empty()) return text + "; " + shown + " cannot be used\n";
    if (seen.is_on_disk()) return text + ", as in " + shown + "\n";
    text += "; not what " + shown + " is now (" + seen.on_disk.substr(0, kDigestShown) +
            "): the next start takes that\n";
    if (seen.log.start && seen.log.start->policy_path != path)
        text += "  the agent was started with " + compile::printable(seen.log.start->policy_path) + "\n";
    return text;
}

std::string frozen_line(const Seen& seen) {
    if (!seen.frozen) return "frozen: no\n";
    return "frozen: since " + timestamp(*seen.frozen) + ", for " +
           std::to_string(std::max<std::time_t>(0, seen.now - *seen.frozen)) + " s\n";
}

std::string budget_lines(const Seen& seen) {
    if (!seen.budgets || seen.budgets->empty()) return {};
    std::string text = "budgets:\n";
    for (const LeftBudget& one : *seen.budgets)
        text += "  " + compile::quoted(one.rule) + ": " + std::to_string(one.left) + " of " +
                std::to_string(one.flow.burst) + " left, " + std::string(one.key) + " " + flow_text(one) +
                "\n";
    return text;
}

std::string budgets_json(const Seen& seen) {
    std::vector<std::string> objects;
    for (const LeftBudget& one : seen.budgets.value_or(std::vector<LeftBudget>()))
        objects.push_back(JsonObject()
                              .add("rule", one.rule)
                              .add("key", one.key)
                              .add("budget", flow_text(one))
                              .add("left", one.left)
                              .add("burst", one.flow.burst)
                              .text());
    return json_list(objects);
}

std::string hour_lines(const Seen& seen) {
    std::string text = "last hour: " + std::to_string(seen.count("allow")) + " allowed, " +
                       std::to_string(seen.count("refuse")) + " refused, " +
                       std::to_string(seen.count("fail")) + " failed, " +
                       std::to_string(seen.count("violation")) + " violations";
    if (const auto unwritten = seen.count("unwritten"); unwritten != 0)
        text += ", " + std::to_string(unwritten) + " only counted";
    text += "\n";
    for (const auto& [what, times] : seen.log.refused)
        text += "  refused: " + compile::printable(what) + " " + std::to_string(times) + " times\n";
    for (const auto& [rule, times] : seen.log.would_refuse)
        text += "  dry run: " + compile::quoted(rule) + " would have refused " + std::to_string(times) + "\n";
    for (const auto& [rule, times] : seen.log.would_allow)
        text += "  dry run: " + compile::quoted(rule) + " would have allowed " + std::to_string(times) + "\n";
    const std::string lost = std::to_string(seen.log.lost);
    if (!seen.log.is_whole) text += "  (of the last 64 MiB of the log; there may have been more)\n";
    return text +
           (seen.log.lost == 0 ? "log: nothing lost\n" : "log: " + lost + " lines lost in the last hour\n");
}

std::string counts_in_json(const std::map<std::string, std::uint64_t>& counts) {
    JsonObject object;
    for (const auto& [name, count] : counts) object.add(name, count);
    return object.text();
}

std::string in_json(const Seen& seen) {
    JsonObject refused;
    for (const auto& [what, times] : seen.log.refused) refused.add(what, times);
    JsonObject object;
    object.add_value("running", !seen.runs ? "null" : *seen.runs ? "true" : "false");
    if (seen.log.start)
        object.add("started", seen.log.start->time)
            .add("version", seen.log.start->version)
            .add("run", seen.log.start->run);
    object.add("policy", seen.log.policy)
        .add("policy_on_disk", seen.on_disk)
        .add("is_on_disk", seen.is_on_disk());
    if (seen.frozen) object.add("frozen_since", timestamp(*seen.frozen));
    object.add("frozen", seen.frozen.has_value());
    for (const char* verdict : {"allow", "refuse", "fail", "violation", "unwritten"})
        object.add(verdict, seen.count(verdict));
    object.add_value("would_refuse", counts_in_json(seen.log.would_refuse))
        .add_value("would_allow", counts_in_json(seen.log.would_allow));
    return object.add_value("refused_commands", refused.text())
               .add_value("budgets", budgets_json(seen))
               .add("lost", seen.log.lost)
               .add("is_whole", seen.log.is_whole)
               .text() +
           "\n";
}

}  // namespace

int run_status(const StatusArguments& arguments) {
    Seen seen;
    seen.runs = is_running(arguments.state_directory);
    seen.frozen = frozen_since(arguments.state_directory);
    seen.on_disk = arguments.serves.empty() ? digest_of(arguments.policy) : arguments.serves;
    seen.budgets = budgets_left(arguments.state_directory);
    seen.now = std::time(nullptr);
    const std::vector<UniqueFd> files = open_log(arguments.state_directory);
    // Before the lockdown, since the C library first looks for a time zone.
    const std::string since = timestamp(seen.now - kHour);
    if (const auto locked = sandbox::lockdown_compiler(); !locked) {
        complain(describe("lockdown", locked.error()));
        return kFailure;
    }
    seen.log = read_log(files, since);
    if (!arguments.serves.empty())
        return seen.runs.value_or(false) && seen.is_on_disk() && seen.log.stop.empty() ? kSuccess : kToLookAt;
    print(arguments.as_json ? in_json(seen)
                            : agent_line(seen) + policy_line(seen, arguments.policy) + frozen_line(seen) +
                                  budget_lines(seen) + hour_lines(seen));
    return seen.is_fine() ? kSuccess : kToLookAt;
}

}  // namespace sallyport::policy::cli
