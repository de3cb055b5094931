// cells: one request for each cell of a policy, with its answer: a complete file of cases.
// can: what a host can do, of requests of which some of it is left open.
#include <algorithm>
#include <ctime>
#include <map>
#include <string>
#include <tuple>

#include "policy/tool/analyse/cells.hpp"
#include "policy/tool/analyse/coverage.hpp"
#include "policy/tool/analyse/decider.hpp"
#include "policy/tool/analyse/words.hpp"
#include "policy/tool/compile/problems.hpp"
#include "policy/tool/verbs/cases.hpp"
#include "policy/tool/verbs/files.hpp"
#include "policy/tool/verbs/json.hpp"
#include "policy/tool/verbs/policies.hpp"
#include "policy/tool/verbs/verb.hpp"

namespace sallyport::policy::cli {

namespace {

using analyse::Alive;
using analyse::Decider;
using analyse::Outcome;
using analyse::Request;

constexpr int kNothing = 3;
constexpr std::string_view kBelow = "/**";

std::string in_json(const Policy& policy, const Request& request, const Outcome& outcome) {
    JsonObject object;
    object.add("request", line_of(request, true)).add("allowed", outcome.is_allowed());
    if (outcome.rule != kNoRule)
        object.add("rule", policy.rules[outcome.rule].id).add("where", policy.rules[outcome.rule].where);
    return object.text();
}

/// What is asked of one command: a request, the names of what of it is said, and a directory below which the path lies.
struct Asked {
    Request request;
    std::vector<std::string_view> fixed;
    std::string below;
};

std::expected<Asked, std::string> read_asked(const std::vector<std::string>& words, CommandId command,
                                             WallTime now) {
    Asked asked{.request = {.command = command, .time = now}, .fixed = {}, .below = {}};
    for (std::size_t at = 1; at < words.size(); ++at) {
        const std::size_t end = words[at].find('=');
        if (end == std::string::npos)
            return std::unexpected("'" + words[at] + "' is not of the form NAME=VALUE");
        const std::string_view name = std::string_view(words[at]).substr(0, end);
        std::string value = words[at].substr(end + 1);
        const bool is_below = name == "path" && value.ends_with(kBelow);
        if (is_below) value.resize(std::max<std::size_t>(value.size() - kBelow.size(), 1));
        const auto read = analyse::read_word(asked.request, {std::string(name), value});
        if (!read) return std::unexpected(read.error());
        if (is_below)
            asked.below = asked.request.file.path;
        else if (name != "time")
            asked.fixed.push_back(name);
    }
    return asked;
}

/// Everything below a directory, as a policy that matches it.
Policy below(const std::string& directory) {
    Rule rule{.id = "below", .where = "", .effect = Effect::kDeny};
    rule.commands.add(CommandId::kFileOpen);
    rule.files.push_back({.under = directory});
    Policy policy;
    policy.rules.push_back(std::move(rule));
    return policy;
}

class Search {
public:
    explicit Search(const Policy& policy) : policy_(policy), decider_(policy) {}

    void ask(const Asked& asked) {
        const Policy limit = below(asked.below);
        analyse::Question question{.policies = {&policy_}, .from = asked.request, .fixed = asked.fixed};
        if (!asked.below.empty()) {
            question.policies.push_back(&limit);
            question.matched = 1;
        }
        const bool is_floor = floor_commands().has(asked.request.command);
        question.matters = [&](const Alive& alive) {
            const auto is_limit = [](const analyse::Clause* clause) { return clause->side == 1; };
            return (is_floor || may_allow(alive, 0)) &&
                   (asked.below.empty() || std::ranges::any_of(alive, is_limit));
        };
        for_each_cell(question, [this](const Request& request, const Alive&) { return note(request), true; });
    }

    struct Way {
        Request witness;
        Outcome outcome;
        CommandSet commands;
        std::size_t cells = 0;
    };
    [[nodiscard]] const std::vector<Way>& ways() const { return ways_; }

private:
    void note(const Request& request) {
        const Outcome outcome = decider_.decide(request);
        if (!outcome.is_allowed()) return;
        const auto subject = analyse::subject_of(request.command);
        const bool is_open = subject == analyse::Subject::kFiles;
        const auto key = std::tuple(outcome.rule, outcome.entry, subject, is_open ? request.file.mode : 0,
                                    is_open && request.file.is_new,
                                    subject == analyse::Subject::kShutdown ? request.shutdown : Mode::kNone);
        const auto [place, is_new] = places_.emplace(key, ways_.size());
        if (is_new) ways_.push_back({.witness = request, .outcome = outcome, .commands = {}});
        ways_[place->second].commands.add(request.command);
        ++ways_[place->second].cells;
    }

    const Policy& policy_;
    Decider decider_;
    std::vector<Way> ways_;
    std::map<std::tuple<std::size_t, std::size_t, analyse::Subject, std::size_t, bool, Mode>, std::size_t>
        places_;
};

std::string in_words(const Policy& policy, const Search& search, WallTime now) {
    std::string text;
    for (const Search::Way& way : search.ways()) {
        text += compile::printable(line_of(way.witness, way.witness.time != now), 1024) + "\n    " +
                reason_of(policy, way.outcome.why, way.outcome.rule);
        if (way.cells > 1) text += ", and in " + std::to_string(way.cells - 1) + " more cells";
        CommandSet others = way.commands;
        others.remove(way.witness.command);
        std::string names;
        for (const Command& row : kCommands)
            if (others.has(row.id)) names.append(" ").append(row.name);
        text += (names.empty() ? "" : "; also" + names) + "\n";
    }
    return text;
}

}  // namespace

int run_cells(const std::string& path, bool as_json) {
    const auto files = read_confined({path});
    if (!files) return kFailure;
    const Policy& policy = files->policies[0].policy;
    const Decider decider(policy);
    const WallTime now = std::time(nullptr);
    const auto is_timed = [](const Rule& rule) { return rule.expires || rule.when; };
    const bool with_time = std::ranges::any_of(policy.rules, is_timed);
    std::string text;
    for (const Request& request : analyse::complete_requests(policy, now)) {
        const Outcome outcome = decider.decide(request);
        text += as_json ? in_json(policy, request, outcome) + "\n"
                        : case_text(policy, outcome, line_of(request, with_time));
    }
    print(text);
    return kSuccess;
}

int run_can(const CanArguments& arguments) {
    const auto files = read_confined({arguments.policy});
    if (!files) return kFailure;
    const Policy& policy = files->policies[0].policy;
    const WallTime now = std::time(nullptr);
    Search search(policy);
    const auto& words = arguments.words;
    const auto only = words.empty() ? std::nullopt : find_command(words.front());
    if (!words.empty() && !only) {
        complain("sallyport-policy: unknown command " + compile::quoted(words.front()) + "\n");
        return kUsage;
    }
    for (const Command& command : kCommands) {
        if (only && *only != command.id) continue;
        const auto asked = read_asked(words, command.id, now);
        if (!asked) {
            complain("sallyport-policy: " + compile::printable(asked.error(), 1024) + "\n");
            return kUsage;
        }
        search.ask(*asked);
    }
    std::string text;
    if (arguments.as_json)
        for (const Search::Way& way : search.ways()) text += in_json(policy, way.witness, way.outcome) + "\n";
    else
        text = search.ways().empty() ? "nothing of it is possible\n" : in_words(policy, search, now);
    print(text);
    return search.ways().empty() ? kNothing : kSuccess;
}

}  // namespace sallyport::policy::cli
