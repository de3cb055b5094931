#include "policy/tool/verbs/kept_budgets.hpp"

#include <algorithm>
#include <cstring>

#include "base/clock.hpp"
#include "ipc/kept_budgets.hpp"
#include "policy/tool/compile/budget_text.hpp"
#include "policy/tool/verbs/files.hpp"

namespace sallyport::policy::cli {

namespace {

std::string text_of(const std::string& path, std::size_t most) {
    const auto file = open_to_read(path);
    if (!file) return {};
    return read_all(*file, most).value_or("");
}

}  // namespace

std::optional<std::vector<LeftBudget>> budgets_left(const std::string& state_directory) {
    ipc::KeptBudgets kept;
    const std::string bytes = text_of(state_directory + "/sallyport.budgets", sizeof kept);
    const std::string boot = text_of("/proc/sys/kernel/random/boot_id", 4096);
    std::memcpy(&kept, bytes.data(), std::min(bytes.size(), sizeof kept));
    const std::string_view of_boot(kept.boot.data(), std::min(boot.size(), kept.boot.size()));
    const bool is_whole =
        bytes.size() >= ipc::KeptBudgets().size() && kept.count <= kMaxBuckets && bytes.size() == kept.size();
    if (!is_whole || boot.empty() || of_boot != boot.substr(0, kept.boot.size())) return std::nullopt;
    std::vector<LeftBudget> all;
    for (std::size_t at = 0; at < kept.count; ++at) {
        const ipc::KeptBudgets::Row& row = kept.rows[at];
        const Flow flow{.amount = row.amount, .burst = row.burst, .per_ns = row.per_ns};
        if (flow == Flow{} || !is_flow(flow)) continue;
        const auto end = std::ranges::find(row.rule, '\0');
        all.push_back({.rule = std::string(row.rule.begin(), end),
                       .key = row.of == static_cast<std::uint64_t>(Bucket::Of::kBytes) ? "bytes" : "rate",
                       .flow = flow,
                       .left = left(flow, row.due, awake_ns())});
    }
    return all;
}

std::string flow_text(const LeftBudget& budget) {
    return budget.key == "rate" ? compile::rate_text(budget.flow) : compile::bytes_text(budget.flow);
}

}  // namespace sallyport::policy::cli
