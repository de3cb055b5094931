// simulate: the decisions of a log asked again of another policy: what would be refused that was allowed, and the other way round.
#include <algorithm>
#include <map>
#include <string>
#include <tuple>
#include <vector>

#include "policy/tool/analyse/words.hpp"
#include "policy/tool/compile/problems.hpp"
#include "policy/tool/log/replay.hpp"
#include "policy/tool/log/tally.hpp"
#include "policy/tool/verbs/files.hpp"
#include "policy/tool/verbs/json.hpp"
#include "policy/tool/verbs/logs.hpp"
#include "policy/tool/verbs/verb.hpp"

namespace sallyport::policy::cli {

namespace {

constexpr int kNarrower = 3;
constexpr int kWider = 4;
constexpr std::size_t kMostGroups = 512;
constexpr std::size_t kMostExamples = 3;

/// Requests of one command that one rule decided then, and another would decide now.
struct Group {
    bool is_wider = false;
    std::string command;
    std::string then;  // the rule or the reason
    std::string now;
    log::Seen seen;
    std::vector<std::string> examples;
};
using Groups = std::map<std::tuple<bool, std::string, std::string, std::string>, Group>;

class Simulation {
public:
    explicit Simulation(const Policy& policy) : policy_(policy), replay_(policy) {}

    void take(const log::Record& record) {
        const log::Answer& answer = replay_.ask(record);
        if (!answer.is_decided) return;
        const bool was_refused = record.verdict == "refuse";
        if (was_refused && !log::was_refused_by_rules(record)) {
            ++of_the_state;
            return;
        }
        if (!answer.is_exact) {
            ++inexact;
            return;
        }
        ++asked;
        if (was_refused != answer.is_allowed()) return;
        note(record, answer, was_refused);
    }

    std::uint64_t asked = 0;
    std::uint64_t of_the_state = 0;
    std::uint64_t inexact = 0;
    std::uint64_t refused = 0;  // newly
    std::uint64_t allowed = 0;
    Groups groups;

private:
    void note(const log::Record& record, const log::Answer& answer, bool is_wider) {
        ++(is_wider ? allowed : refused);
        const std::string rule = log::unescaped(record.rule);
        Group group{.is_wider = is_wider,
                    .command = std::string(record.what),
                    .then = rule.empty() ? log::unescaped(record.reason) : "rule " + compile::quoted(rule),
                    .now = reason_of(policy_, answer.why, answer.rule)};
        if (!record.would.empty())
            group.then += "; would " + std::string(record.would == "allow" ? "allow" : "refuse") +
                          " by the dry run of " + compile::quoted(log::unescaped(record.would_rule));
        const std::tuple key{!is_wider, group.command, group.then, group.now};
        auto found = groups.find(key);
        if (found == groups.end()) {
            if (groups.size() >= kMostGroups) return;
            found = groups.emplace(key, std::move(group)).first;
        }
        Group& known = found->second;
        known.seen.add(log::verdict_of(record.verdict), log::seconds_of(record.time).value_or(0));
        if (known.examples.size() >= kMostExamples) return;
        const auto request = log::asked_of(record);
        const std::string line = request ? line_of(request->request, false) : std::string();
        if (std::ranges::find(known.examples, line) == known.examples.end()) known.examples.push_back(line);
    }

    const Policy& policy_;
    log::Replay replay_;
};

int status_of(const Simulation& done) {
    return done.allowed != 0 ? kWider : done.refused != 0 ? kNarrower : kSuccess;
}

std::string in_words(const Simulation& done, const Colours& colours) {
    std::string text = std::to_string(done.asked) +
                       " decisions asked again: " + std::to_string(done.refused) + " newly refused, " +
                       std::to_string(done.allowed) + " newly allowed\n";
    for (const auto& [key, group] : done.groups) {
        text += std::string(group.is_wider ? colours.bad : colours.good) +
                (group.is_wider ? "newly allowed" : "newly refused") + colours.end + ": " +
                compile::printable(group.command) + ", " + std::to_string(group.seen.all()) +
                " times, last " + analyse::show_time(group.seen.last) +
                "\n    then: " + compile::printable(group.then) + "\n    now:  " + group.now + "\n";
        for (const std::string& example : group.examples)
            text += "      " + compile::printable(example, 1024) + "\n";
    }
    if (done.of_the_state != 0)
        text +=
            std::to_string(done.of_the_state) +
            " refusals were not by the rules alone (the state of the guest, the file that was found) and are "
            "left out\n";
    if (done.inexact != 0)
        text +=
            std::to_string(done.inexact) + " requests are left out, which the log does not have as a whole\n";
    return text;
}

std::string in_json(const Simulation& done) {
    std::vector<std::string> groups;
    for (const auto& [key, group] : done.groups)
        groups.push_back(JsonObject()
                             .add("direction", group.is_wider ? "wider" : "narrower")
                             .add("command", group.command)
                             .add("then", group.then)
                             .add("now", group.now)
                             .add("count", group.seen.all())
                             .add("last", analyse::show_time(group.seen.last))
                             .add_value("examples", json_strings(group.examples))
                             .text());
    return JsonObject()
               .add("asked", done.asked)
               .add("newly_refused", done.refused)
               .add("newly_allowed", done.allowed)
               .add("not_by_rules", done.of_the_state)
               .add("inexact", done.inexact)
               .add_value("differences", json_list(groups))
               .text() +
           "\n";
}

}  // namespace

int run_simulate(const LogArguments& arguments) {
    auto open = open_logs(arguments.logs, {arguments.policy});
    if (!open) return kFailure;
    Simulation simulation(open->files.policies[0].policy);
    const auto reading = open->logs.read([&](const log::Record& record, const log::Place&) {
        if (arguments.takes(record.time)) simulation.take(record);
    });
    if (!tell_reading(reading)) return kFailure;
    print(arguments.as_json ? in_json(simulation) : in_words(simulation, colours(open->files)));
    return status_of(simulation);
}

}  // namespace sallyport::policy::cli
