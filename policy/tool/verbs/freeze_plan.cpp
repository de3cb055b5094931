// freeze-plan: what a policy would freeze on this machine, in which order, and what it would not, and why. It plans as the agent
// does; nothing is opened or frozen.
#include <string>

#include "broker/freeze_plan/graph.hpp"
#include "broker/freeze_plan/plan.hpp"
#include "policy/decide.hpp"
#include "policy/tool/compile/problems.hpp"
#include "policy/tool/verbs/confined.hpp"
#include "policy/tool/verbs/files.hpp"
#include "policy/tool/verbs/json.hpp"
#include "policy/tool/verbs/verb.hpp"

namespace sallyport::policy::cli {

namespace {

std::string line_of(const freeze_plan::FileSystem& system) {
    const freeze_plan::Mount& first = system.mounts.front();
    std::string line = compile::printable(first.point) + "  " + compile::printable(first.type) + "  " +
                       compile::printable(first.source);
    for (std::size_t at = 1; at < system.mounts.size(); ++at)
        line += (at == 1 ? "  also on " : ", ") + compile::printable(system.mounts[at].point);
    return line;
}

std::string plan_of(const Rule& rule, const std::vector<freeze_plan::FileSystem>& systems) {
    const ipc::FreezeSelection& freeze = *rule.freeze;
    std::string text = "rule " + rule.id + " (" + rule.where + "): thawed after " +
                       std::to_string(freeze.max_frozen_ms()) + " ms at the latest\n";
    std::size_t number = 0;
    for (const freeze_plan::FileSystem& system : systems)
        if (system.skipped == nullptr)
            text += "  " + std::to_string(++number) + ". " + line_of(system) + "\n";
    if (number == 0) text += "  nothing\n";
    for (const freeze_plan::FileSystem& system : systems)
        if (system.skipped != nullptr) text += "  not " + line_of(system) + ": " + system.skipped + "\n";
    return text;
}

std::string in_json(const freeze_plan::FileSystem& system) {
    std::vector<std::string> points;
    for (const freeze_plan::Mount& mount : system.mounts) points.push_back(mount.point);
    JsonObject object;
    object.add_value("points", json_strings(points))
        .add("type", system.mounts.front().type)
        .add("source", system.mounts.front().source);
    if (system.skipped != nullptr) object.add("left_out", system.skipped);
    return object.text();
}

std::string in_json(const Rule& rule, const std::vector<freeze_plan::FileSystem>& systems) {
    std::vector<std::string> frozen, left_out;
    for (const freeze_plan::FileSystem& system : systems)
        (system.skipped == nullptr ? frozen : left_out).push_back(in_json(system));
    return JsonObject()
               .add("rule", rule.id)
               .add("where", rule.where)
               .add("max_frozen_ms", std::uint64_t{rule.freeze->max_frozen_ms()})
               .add_value("frozen", json_list(frozen))
               .add_value("left_out", json_list(left_out))
               .text() +
           "\n";
}

int fail(std::string_view name, const Error& error) {
    complain(describe(name, error));
    return kFailure;
}

}  // namespace

int run_freeze_plan(const std::string& path, const std::string& mounts_path, bool as_json) {
    const auto input = open_input(path);
    if (!input) return kFailure;
    const auto compiled = compile_apart(*input);
    if (!compiled) return kFailure;
    const auto policy = load(*compiled);
    if (!policy) return fail(path, policy.error());
    const auto file = open_to_read(mounts_path);
    if (!file) return fail(mounts_path, file.error());
    const auto text = freeze_plan::read_text(*file);
    const auto mounts = text ? freeze_plan::parse_mounts(*text) : std::unexpected(text.error());
    if (!mounts) return fail(mounts_path, mounts.error());
    const auto graph = freeze_plan::BlockGraph::open();
    if (!graph) return fail("/sys", graph.error());
    const auto backing = [&](const freeze_plan::Mount& mount) { return graph->backing_files(mount); };
    const auto rules = freeze_rules(*policy);
    for (const std::size_t at : rules) {
        const Rule& rule = policy->rules[at];
        const auto systems = freeze_plan::plan(*mounts, *rule.freeze, backing);
        print(as_json ? in_json(rule, systems) : plan_of(rule, systems));
    }
    if (rules.empty() && !as_json) print("no rule lets anything be frozen\n");
    return kSuccess;
}

}  // namespace sallyport::policy::cli
