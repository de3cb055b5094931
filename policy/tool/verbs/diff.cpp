// diff: what a second policy lets a host do that the first does not, and the other way round, each with a request that shows it.
#include <algorithm>
#include <ctime>
#include <string>

#include "policy/tool/analyse/diff.hpp"
#include "policy/tool/analyse/words.hpp"
#include "policy/tool/compile/problems.hpp"
#include "policy/tool/verbs/files.hpp"
#include "policy/tool/verbs/json.hpp"
#include "policy/tool/verbs/policies.hpp"
#include "policy/tool/verbs/verb.hpp"

namespace sallyport::policy::cli {

namespace {

using analyse::Difference;
using analyse::Direction;

constexpr int kNarrower = 3;
constexpr int kWider = 4;

std::string_view word_of(Direction direction) {
    return direction == Direction::kWider ? "wider" : "narrower";
}

std::string names_of(CommandSet commands) {
    std::string names;
    for (const Command& row : kCommands)
        if (commands.has(row.id)) names.append(names.empty() ? "" : " ").append(row.name);
    return names;
}

class Report {
public:
    Report(const Files& files, WallTime now)
        : before_(files.policies[0].policy),
          after_(files.policies[1].policy),
          colours_(colours(files)),
          now_(now) {}

    void tell(const Difference& one) {
        note(one.direction);
        const bool is_wider = one.direction == Direction::kWider;
        text_ += std::string(is_wider ? colours_.bad : colours_.good) + std::string(word_of(one.direction)) +
                 colours_.end + ": " +
                 compile::printable(line_of(one.witness, one.witness.time != now_), 1024) + "\n";
        if (one.terms.empty()) {
            const bool was = one.before.is_allowed();
            const std::string limits =
                one.limits.empty() ? "" : "; the rule of that name differs in: " + one.limits;
            text_ += "    before: " + reason_of(before_, one.before.why, one.before.rule) +
                     (was ? "" : limits) + "\n";
            text_ += "    after:  " + reason_of(after_, one.after.why, one.after.rule) + (was ? limits : "") +
                     "\n";
        } else {
            text_ += "    " + compile::printable(one.terms, 1024) + ", " +
                     reason_of(after_, one.after.why, one.after.rule) + "\n";
        }
        CommandSet others = one.commands;
        others.remove(one.witness.command);
        if (!others.is_empty()) text_ += "    also " + names_of(others) + "\n";
    }

    void tell(const analyse::OtherDifference& one) {
        note(one.direction);
        text_ += std::string(word_of(one.direction)) + ": " + one.text + "\n";
    }

    [[nodiscard]] const std::string& text() const { return text_; }
    [[nodiscard]] int status() const { return status_; }

private:
    void note(Direction direction) {
        status_ = std::max(status_, direction == Direction::kWider ? kWider : kNarrower);
    }

    const Policy& before_;
    const Policy& after_;
    Colours colours_;
    WallTime now_;
    std::string text_;
    int status_ = kSuccess;
};

std::string in_json(const Policy& policy, const analyse::Outcome& outcome) {
    JsonObject object;
    object.add("allowed", outcome.is_allowed()).add("reason", reason_of(policy, outcome.why, outcome.rule));
    if (outcome.rule != kNoRule)
        object.add("rule", policy.rules[outcome.rule].id).add("where", policy.rules[outcome.rule].where);
    return object.text();
}

std::string in_json(const Files& files, const std::vector<Difference>& differences,
                    const std::vector<analyse::OtherDifference>& others, int status) {
    std::vector<std::string> all;
    for (const Difference& one : differences)
        all.push_back(JsonObject()
                          .add("direction", word_of(one.direction))
                          .add("request", line_of(one.witness, true))
                          .add_value("before", in_json(files.policies[0].policy, one.before))
                          .add_value("after", in_json(files.policies[1].policy, one.after))
                          .add("terms", one.terms)
                          .add("limits", one.limits)
                          .add("commands", names_of(one.commands))
                          .add("cells", std::uint64_t{one.cells})
                          .text());
    for (const analyse::OtherDifference& one : others)
        all.push_back(JsonObject().add("direction", word_of(one.direction)).add("what", one.text).text());
    const char* const verdict = status == kSuccess ? "same" : status == kWider ? "wider" : "narrower";
    return JsonObject().add("verdict", verdict).add_value("differences", json_list(all)).text() + "\n";
}

}  // namespace

namespace {

/// Never rules of the first that the second has not: nothing is allowed by that, but nothing guards it any more.
std::string lost_nevers(const Loaded& before, const Loaded& after) {
    std::string text;
    for (const analyse::Never& never : before.nevers) {
        const auto has_id = [&](const analyse::Never& other) { return other.rule.id == never.rule.id; };
        if (std::ranges::none_of(after.nevers, has_id))
            text += "note: never rule " + rule_name(never.rule) + " is not in the second policy\n";
    }
    return text;
}

}  // namespace

int run_diff(const DiffArguments& arguments) {
    const auto files = read_confined({arguments.before, arguments.after}, {}, arguments.folders);
    if (!files) return kFailure;
    const WallTime now = std::time(nullptr);
    const auto& [before, after] = std::tie(files->policies[0].policy, files->policies[1].policy);
    const auto differences = analyse::differences(before, after, now);
    const auto others = analyse::other_differences(before, after);
    Report report(*files, now);
    for (const Difference& one : differences) report.tell(one);
    for (const analyse::OtherDifference& one : others) report.tell(one);
    if (arguments.as_json)
        print(in_json(*files, differences, others, report.status()));
    else
        print(report.status() == kSuccess ? "same: a host can do as much by the one as by the other\n"
                                          : report.text());
    complain(lost_nevers(files->policies[0], files->policies[1]));
    return report.status();
}

}  // namespace sallyport::policy::cli
