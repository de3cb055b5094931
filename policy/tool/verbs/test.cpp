// test: whether a policy answers as an admin's cases say, and what of it they do not try.
#include <algorithm>
#include <ctime>
#include <string>

#include "ipc/limits.hpp"
#include "policy/tool/analyse/coverage.hpp"
#include "policy/tool/analyse/diff.hpp"
#include "policy/tool/analyse/words.hpp"
#include "policy/tool/compile/problems.hpp"
#include "policy/tool/verbs/cases.hpp"
#include "policy/tool/verbs/files.hpp"
#include "policy/tool/verbs/json.hpp"
#include "policy/tool/verbs/policies.hpp"
#include "policy/tool/verbs/verb.hpp"

namespace sallyport::policy::cli {

namespace {

using analyse::Decider;
using analyse::Part;

constexpr int kFailed = 3;
constexpr int kTooLittle = 4;
constexpr std::size_t kMaxCases = std::size_t{16} << 20U;

bool holds(const Policy& policy, const Decider& decider, const Case& one) {
    const auto outcome = decider.decide(one.request);
    if (outcome.is_allowed() != one.is_allowed) return false;
    return one.rule.empty() || (outcome.rule != kNoRule && policy.rules[outcome.rule].id == one.rule);
}

struct Survivor {
    Part part;
    std::string killer;  // a request that would notice
};

struct Result {
    std::size_t cases = 0;
    std::vector<std::string> failures;
    std::size_t parts = 0;
    std::vector<Part> untried;
    std::size_t mutants = 0;
    std::vector<Survivor> survivors;
};

class Run {
public:
    Run(const Files& files, const std::vector<Case>& cases, const TestArguments& arguments)
        : policy_(files.policies[0].policy), decider_(policy_), cases_(cases), arguments_(arguments) {}

    Result run() {
        result_.cases = cases_.size();
        for (const Case& one : cases_)
            if (!holds(policy_, decider_, one)) fail(one);
        const auto parts = analyse::parts_of(policy_);
        result_.parts = parts.size();
        std::vector<analyse::Request> requests;
        for (const Case& one : cases_) requests.push_back(one.request);
        result_.untried = analyse::untried(policy_, requests);
        if (arguments_.mutate)
            for (const Part& part : parts) try_without(part);
        return std::move(result_);
    }

private:
    void fail(const Case& one) {
        const auto outcome = decider_.decide(one.request);
        std::string text = compile::printable(arguments_.cases) + ":" + std::to_string(one.line) + ": " +
                           compile::printable(line_of(one.request, false), 1024) + ": expected " +
                           (one.is_allowed ? "allow" : "refuse");
        if (!one.rule.empty()) text += " by " + compile::quoted(one.rule);
        result_.failures.push_back(text + ", got " + (outcome.is_allowed() ? "allow" : "refuse") + ": " +
                                   reason_of(policy_, outcome.why, outcome.rule));
    }

    // A change that no request at all would notice is none.
    void try_without(const Part& part) {
        const Policy mutant = analyse::without(policy_, part);
        const Decider decider(mutant);
        const auto notices = [&](const Case& one) {
            return holds(policy_, decider_, one) != holds(mutant, decider, one);
        };
        if (std::ranges::any_of(cases_, notices)) {
            ++result_.mutants;
            return;
        }
        const WallTime now = std::time(nullptr);
        for (const auto& one : analyse::differences(policy_, mutant, now)) {
            if (!one.terms.empty()) continue;
            ++result_.mutants;
            result_.survivors.push_back(
                {.part = part, .killer = line_of(one.witness, one.witness.time != now)});
            return;
        }
    }

    const Policy& policy_;
    Decider decider_;
    const std::vector<Case>& cases_;
    const TestArguments& arguments_;
    Result result_;
};

std::size_t percent(const Result& result) {
    return result.parts == 0 ? 100 : (result.parts - result.untried.size()) * 100 / result.parts;
}

std::string in_words(const Policy& policy, const Result& result, const TestArguments& arguments) {
    std::string text;
    for (const std::string& failure : result.failures) text += failure + "\n";
    text += std::to_string(result.cases) + " cases, " + std::to_string(result.failures.size()) + " failed\n";
    text += "rules and what they say: " + std::to_string(result.parts - result.untried.size()) + " of " +
            std::to_string(result.parts) + " tried (" + std::to_string(percent(result)) + " %)\n";
    for (const Part& part : result.untried) text += "  not tried: " + part_name(policy, part) + "\n";
    if (!arguments.mutate) return text;
    text += "mutants: " + std::to_string(result.mutants - result.survivors.size()) + " of " +
            std::to_string(result.mutants) + " noticed\n";
    for (const Survivor& one : result.survivors)
        text += "  nobody notices if it is gone: " + part_name(policy, one.part) +
                "\n    this case would: " + compile::printable(one.killer, 1024) + "\n";
    return text;
}

std::string in_json(const Policy& policy, const Result& result) {
    std::vector<std::string> untried, survivors;
    for (const Part& part : result.untried) untried.push_back(part_name(policy, part));
    for (const Survivor& one : result.survivors)
        survivors.push_back(
            JsonObject().add("without", part_name(policy, one.part)).add("killer", one.killer).text());
    return JsonObject()
               .add("cases", std::uint64_t{result.cases})
               .add_value("failures", json_strings(result.failures))
               .add("parts", std::uint64_t{result.parts})
               .add_value("untried", json_strings(untried))
               .add("percent", std::uint64_t{percent(result)})
               .add("mutants", std::uint64_t{result.mutants})
               .add_value("survivors", json_list(survivors))
               .text() +
           "\n";
}

}  // namespace

int run_test(const TestArguments& arguments) {
    const auto files = read_confined({arguments.policy}, {arguments.cases}, arguments.folders);
    if (!files) return kFailure;
    const auto text = read_all(files->others.front(), kMaxCases);
    if (!text) {
        complain(describe(arguments.cases, text.error()));
        return kFailure;
    }
    const auto cases = read_cases(*text, arguments.cases, std::time(nullptr));
    if (!cases) {
        complain(cases.error());
        return kFailure;
    }
    const Policy& policy = files->policies[0].policy;
    const Result result = Run(*files, *cases, arguments).run();
    print(arguments.as_json ? in_json(policy, result) : in_words(policy, result, arguments));
    if (!result.failures.empty()) return kFailed;
    return percent(result) < arguments.least || !result.survivors.empty() ? kTooLittle : kSuccess;
}

}  // namespace sallyport::policy::cli
