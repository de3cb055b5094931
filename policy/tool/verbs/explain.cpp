// explain: why a request is answered as it is: the rule that decides, each rule that all but allows it, and the least that would have
// to change.
#include <ctime>
#include <string>

#include "base/clock.hpp"
#include "ipc/limits.hpp"
#include "policy/tool/analyse/explain.hpp"
#include "policy/tool/analyse/words.hpp"
#include "policy/tool/compile/budget_text.hpp"
#include "policy/tool/compile/effective.hpp"
#include "policy/tool/compile/locate.hpp"
#include "policy/tool/compile/problems.hpp"
#include "policy/tool/verbs/dry_runs.hpp"
#include "policy/tool/verbs/files.hpp"
#include "policy/tool/verbs/json.hpp"
#include "policy/tool/verbs/kept_budgets.hpp"
#include "policy/tool/verbs/policies.hpp"
#include "policy/tool/verbs/request_text.hpp"
#include "policy/tool/verbs/verb.hpp"

namespace sallyport::policy::cli {

namespace {

using analyse::Explanation;
using analyse::Feature;
using analyse::Miss;
using analyse::Request;
using analyse::Subject;

constexpr int kRefused = 3;
constexpr std::size_t kMostNear = 8;
constexpr std::uint64_t kMostNumber = 1'000'000'000;      // that a rule can name
constexpr std::uint64_t kMostStepMs = 1000 * 3'600'000U;  // the same

/// The table of a rule in which a feature's key stands.
std::string_view table_of(const Feature& feature) {
    if (feature.key == "expires" || feature.key == "when" || feature.key == "modes" ||
        feature.key == "freeze" || feature.key == "reply")
        return "";
    switch (feature.subject) {
        case Subject::kFiles:
            return "files";
        case Subject::kExec:
            return "exec";
        case Subject::kFreeze:
            return "freeze";
        case Subject::kInspect:
            return "reply";
        case Subject::kClock:
            return "time";
        case Subject::kProcessors:
            return "vcpus";
        case Subject::kBlocks:
            return "memory";
        case Subject::kShutdown:
        case Subject::kAccounts:
        case Subject::kPlain:
            return "";
    }
    check_failed();
}

std::string word_of(const Feature& feature, const Request& request) {
    std::string text;
    for (const auto& [name, value] : words_of(request, true))
        if (name == feature.name) text.append(text.empty() ? "" : " ").append(name).append("=").append(value);
    return text.empty() ? std::string(feature.name) : compile::printable(text);
}

std::string in_toml(const std::vector<std::string>& texts) {
    std::string list;
    for (const std::string& text : texts) list += (list.empty() ? "" : ", ") + compile::toml_string(text);
    return "[" + list + "]";
}

std::string access_for(const analyse::FileWish& file) {
    const Access wanted = analyse::open_modes()[file.mode].wanted;
    std::vector<std::string> words;
    if (wanted.read) words.emplace_back("read");
    if (wanted.write) words.emplace_back("write");
    if (file.is_new) words.emplace_back("create");
    return in_toml(words);
}

/// What a rule says that allows the request about a user, and little more.
std::string account_keys_for(const Request& request) {
    const analyse::AccountWish& wish = request.account;
    std::string text = "    users = " + in_toml({wish.user}) + "\n";
    if (request.command == CommandId::kSetUserPassword)
        text += std::string("    crypted = ") + (wish.crypted ? "\"only\"" : "\"any\"") + "\n";
    if (request.command != CommandId::kSshAddAuthorizedKeys) return text;
    text += "    key_types = \"any\"\n";
    if (wish.count > kDefaultMaxKeys) text += "    max_keys = " + std::to_string(wish.count) + "\n";
    return text + (wish.reset ? "    reset = true\n" : "");
}

/// "any" where no rule can name them.
std::string spans_for(const std::vector<std::uint64_t>& numbers) {
    std::string text;
    for (const std::uint64_t number : numbers) {
        if (number > kMostNumber) return "\"any\"";
        text.append(text.empty() ? "" : ",").append(std::to_string(number));
    }
    return compile::toml_string(text.empty() ? "any" : text);
}

std::string step_for(std::int64_t step_ns) {
    const auto bits = static_cast<std::uint64_t>(step_ns);
    const std::uint64_t size = step_ns < 0 ? 0 - bits : bits;
    const std::uint64_t most = std::max<std::uint64_t>(1, size / kNsPerMs + (size % kNsPerMs != 0 ? 1 : 0));
    return most > kMostStepMs ? "\"any\"" : "\"" + std::to_string(most) + "ms\"";
}

std::string set_key_for(const Request& request) {
    const std::string spans = spans_for(request.set.numbers);
    if (request.command == CommandId::kSetVcpus)
        return "    vcpus = { min_online = 1, cpus = " + spans + " }\n";
    if (request.command == CommandId::kSetMemoryBlocks) return "    memory = { blocks = " + spans + " }\n";
    return "    time = { max_step = " + step_for(request.set.step_ns.value_or(0)) + " }\n";
}

/// A rule that allows the request and little more.
std::string rule_for(const Request& request) {
    const std::string command(command_row(request.command).name);
    std::string text =
        "    [[allow]]\n    id = \"NAME\"\n    commands = [" + compile::toml_string(command) + "]\n";
    const std::string& path = request.file.path;
    switch (analyse::subject_of(request.command)) {
        case Subject::kFiles:
            return text + "    files = [{ under = " +
                   compile::toml_string(path.substr(0, std::max<std::size_t>(path.rfind('/'), 1))) +
                   ", access = " + access_for(request.file) + " }]\n";
        case Subject::kShutdown:
            return text + "    modes = [\"" +
                   word_of(analyse::features_of(Subject::kShutdown).front(), request).substr(5) + "\"]\n";
        case Subject::kExec:
            return text + "    [[allow.exec]]\n    program = " + compile::toml_string(request.exec.program) +
                   "\n    args = " + in_toml(request.exec.args) + "\n    run_as = \"nobody\"\n";
        case Subject::kFreeze:
            return text + "    freeze = {" +
                   (request.mount.point.empty()
                        ? std::string()
                        : " mounts = [" + compile::toml_string(request.mount.point) + "] ") +
                   "}\n";
        case Subject::kAccounts:
            return text + account_keys_for(request);
        case Subject::kClock:
        case Subject::kProcessors:
        case Subject::kBlocks:
            return text + set_key_for(request);
        case Subject::kInspect:
        case Subject::kPlain:
            return text;
    }
    check_failed();
}

bool has_budget(const Rule& rule, CommandId command) {
    const Command& row = command_row(command);
    const bool moves =
        rule.budget.bytes != Flow{} && (row.group == Group::kFile || row.group == Group::kExec);
    return rule.budget != Budget{} && (is_counted(row) || moves);
}

class Writer {
public:
    Writer(const Files& files, const Request& request, const std::vector<LeftBudget>& left)
        : left_(left),
          loaded_(files.policies[0]),
          policy_(loaded_.policy),
          colours_(colours(files)),
          request_(request) {}

    std::string text(const Explanation& explanation) {
        verdict(explanation.outcome);
        if (explanation.outcome.is_allowed()) budget(explanation.outcome.rule);
        near_misses(explanation.near);
        if (!explanation.outcome.is_allowed()) change(explanation);
        if (const std::string tried = in_words(trial_of(policy_, request_)); !tried.empty())
            text_ += "with the dry runs it " + tried;
        return std::move(text_);
    }

private:
    void verdict(const analyse::Outcome& outcome) {
        const bool is_allowed = outcome.is_allowed();
        text_ += std::string(is_allowed ? colours_.good : colours_.bad) +
                 (is_allowed ? "allowed" : "refused") + colours_.end + ": " +
                 compile::printable(line_of(request_, true), 2048) + "\n  " +
                 reason_of(policy_, outcome.why, outcome.rule) + "\n";
        if (outcome.rule == kNoRule) return;
        const Rule& rule = policy_.rules[outcome.rule];
        const bool has_entry = is_allowed && !rule.files.empty() && request_.command == CommandId::kFileOpen;
        show(rule, {.rule_line = compile::line_in(rule.where),
                    .table = has_entry ? "files" : "",
                    .entry = outcome.entry,
                    .key = has_entry ? "under" : ""});
    }

    /// The policy alone does not say whether anything is left.
    void budget(std::size_t number) {
        if (number == kNoRule || !has_budget(policy_.rules[number], request_.command)) return;
        const Rule& rule = policy_.rules[number];
        text_ += "as long as its budget is not spent: " + compile::budget_text(rule.budget) + "\n";
        for (const LeftBudget& one : left_)
            if (one.rule == rule.id)
                text_ += "  left now of '" + std::string(one.key) + "': " + std::to_string(one.left) +
                         " of " + std::to_string(one.flow.burst) + "\n";
    }

    void show(const Rule& rule, const compile::Spot& spot) {
        const std::string_view source = compile::source_of(rule.where, loaded_.text, loaded_.fragments);
        const compile::Place place = compile::locate(source, spot);
        const std::string file = rule.where.substr(0, rule.where.rfind(':'));
        text_ += std::string("    ") + colours_.dim + compile::printable(file) + ":" +
                 std::to_string(place.line) + ":" + std::to_string(place.column) + colours_.end + "\n" +
                 compile::under_caret(source, place, "      ");
    }

    void show(const Miss& miss, const Feature& feature) {
        const Rule& rule = *miss.clause.of;
        show(rule, {.rule_line = compile::line_in(rule.where),
                    .table = table_of(feature),
                    .entry = miss.clause.entry,
                    .key = feature.key});
    }

    void near_misses(const std::vector<Miss>& near) {
        if (near.empty()) return;
        text_ += "rules that fail by one thing alone:\n";
        for (std::size_t at = 0; at < std::min(near.size(), kMostNear); ++at) {
            const Feature& feature = *near[at].missed.front();
            text_ += "  " + rule_name(*near[at].clause.of) + ": '" + std::string(feature.key) +
                     "' does not take " + word_of(feature, request_) + "\n";
            show(near[at], feature);
        }
        if (near.size() > kMostNear) text_ += "  and " + std::to_string(near.size() - kMostNear) + " more\n";
    }

    void change(const Explanation& explanation) {
        text_ += "it would be allowed:\n";
        if (!explanation.remedy) {
            text_ += "  by a rule of its own, like\n" + rule_for(request_);
            return;
        }
        for (const analyse::Clause& clause : explanation.remedy->denials)
            text_ += "  if deny rule " + rule_name(*clause.of) + " did not match it\n";
        if (!explanation.remedy->limits) return;
        for (const Feature* feature : explanation.remedy->limits->missed)
            text_ += "  if '" + std::string(feature->key) + "' of " +
                     rule_name(*explanation.remedy->limits->clause.of) + " took " +
                     word_of(*feature, request_) + "\n";
    }

    const std::vector<LeftBudget>& left_;
    const Loaded& loaded_;
    const Policy& policy_;
    Colours colours_;
    const Request& request_;
    std::string text_;
};

std::string in_json(const Miss& miss) {
    std::vector<std::string> keys;
    for (const Feature* feature : miss.missed) keys.emplace_back(feature->key);
    return JsonObject()
        .add("rule", miss.clause.of->id)
        .add("where", miss.clause.of->where)
        .add("entry", std::uint64_t{miss.clause.entry})
        .add_value("missed", json_strings(keys))
        .text();
}

std::string in_json(const Policy& policy, const Request& request, const Explanation& explanation) {
    const analyse::Outcome& outcome = explanation.outcome;
    JsonObject object;
    object.add("allowed", outcome.is_allowed()).add("request", line_of(request, true));
    object.add("reason", reason_of(policy, outcome.why, outcome.rule));
    if (outcome.rule != kNoRule)
        object.add("rule", policy.rules[outcome.rule].id).add("where", policy.rules[outcome.rule].where);
    if (const auto trial = trial_of(policy, request))
        object.add("would", trial->is_allowed ? "allow" : "refuse").add("would_rule", trial->rule);
    if (outcome.is_allowed() && outcome.rule != kNoRule &&
        has_budget(policy.rules[outcome.rule], request.command))
        object.add("budget", compile::budget_text(policy.rules[outcome.rule].budget));
    std::vector<std::string> near;
    for (const Miss& miss : explanation.near) near.push_back(in_json(miss));
    object.add_value("near", json_list(near));
    if (!explanation.remedy) return object.text() + "\n";
    std::vector<std::string> denials;
    for (const analyse::Clause& clause : explanation.remedy->denials) denials.push_back(clause.of->id);
    object.add_value("denials", json_strings(denials));
    if (explanation.remedy->limits) object.add_value("change", in_json(*explanation.remedy->limits));
    return object.text() + "\n";
}

int fail(const std::string& what) {
    complain("sallyport-policy: " + compile::printable(what, 1024) + "\n");
    return kUsage;
}

/// What the log said of it, where that is not what is found.
std::string said_in_log(const LoggedDecision& logged, const Loaded& loaded) {
    std::string text = "the log says: " + compile::printable(logged.verdict);
    if (!logged.rule.empty()) text += ", rule " + compile::quoted(logged.rule);
    if (!logged.reason.empty()) text += ", " + compile::printable(logged.reason);
    text += "\n";
    if (!hexadecimal(loaded.policy.digest).starts_with(logged.policy))
        text += "it was another policy then: " + compile::printable(logged.policy) + "\n";
    if (!logged.is_exact) text += "the log does not have the whole request\n";
    return text;
}

}  // namespace

int run_explain(const ExplainArguments& arguments) {
    const bool is_denial = !arguments.denial.empty();
    const std::vector<LeftBudget> left =
        arguments.state_directory.empty()
            ? std::vector<LeftBudget>()
            : budgets_left(arguments.state_directory).value_or(std::vector<LeftBudget>());
    const auto files =
        read_confined({arguments.policy}, is_denial ? std::vector{arguments.log} : std::vector<std::string>{},
                      arguments.folders);
    if (!files) return kFailure;
    Request request{.time = std::time(nullptr)};
    std::string prelude;
    if (is_denial) {
        const auto logged = find_decision(files->others.front(), arguments.denial);
        if (!logged) return fail(logged.error());
        request = logged->request;
        prelude = said_in_log(*logged, files->policies[0]);
    } else {
        const bool is_line = arguments.words.size() == 1 && arguments.words.front().starts_with('{');
        const auto read = is_line ? read_host_line(arguments.words.front(), request)
                                  : analyse::read_words(arguments.words, request);
        if (!read) return fail(read.error());
        request = *read;
    }
    const Policy& policy = files->policies[0].policy;
    const Explanation explanation = analyse::explain(policy, request);
    print(arguments.as_json ? in_json(policy, request, explanation)
                            : prelude + Writer(*files, request, left).text(explanation));
    return explanation.outcome.is_allowed() ? kSuccess : kRefused;
}

}  // namespace sallyport::policy::cli
