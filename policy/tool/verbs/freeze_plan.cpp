// freeze-plan: what a policy would freeze on this machine, in which order, and what it would not, and why. It plans as the agent
// does; nothing is opened or frozen.
#include <string>

#include "broker/freeze_plan/graph.hpp"
#include "broker/freeze_plan/plan.hpp"
#include "policy/decide.hpp"
#include "policy/tool/compile/problems.hpp"
#include "policy/tool/verbs/confined.hpp"
#include "policy/tool/verbs/files.hpp"
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

int fail(std::string_view name, const Error& error) {
    complain(describe(name, error));
    return kFailure;
}

}  // namespace

int run_freeze_plan(const std::string& path, const std::string& mounts_path) {
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
        print(plan_of(rule, freeze_plan::plan(*mounts, *rule.freeze, backing)));
    }
    if (rules.empty()) print("no rule lets anything be frozen\n");
    return kSuccess;
}

}  // namespace sallyport::policy::cli
