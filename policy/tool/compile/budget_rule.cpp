#include "policy/tool/compile/budget_rule.hpp"

#include <algorithm>
#include <array>
#include <charconv>

#include "ipc/limits.hpp"
#include "policy/budget.hpp"
#include "policy/tool/compile/budget_text.hpp"
#include "policy/tool/compile/suggest.hpp"
#include "policy/tool/compile/units.hpp"

namespace sallyport::policy::compile {

namespace {

constexpr std::array<std::string_view, 3> kBudgetKeys{"rate", "bytes", "concurrent"};
constexpr std::string_view kRateForm = "'rate' must be requests in a time, like \"4/h\" or \"4/h burst 2\"";
constexpr std::string_view kBytesForm = "'bytes' must be a size in a time, like \"1GiB/day\"";
constexpr std::uint32_t kMostRequests = 1'000'000;

std::optional<std::uint32_t> number(std::string_view text) {
    std::uint32_t value = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
    const bool is_whole = error == std::errc{} && end == text.data() + text.size();
    return is_whole && value > 0 && value <= kMostRequests ? std::optional(value) : std::nullopt;
}

std::optional<std::uint32_t> span_of(Reader& reader, std::string_view word, Place place) {
    const auto found = std::ranges::find(kBudgetSpans, word, &BudgetSpan::word);
    if (found != kBudgetSpans.end()) return found->ms;
    std::vector<std::string_view> known;
    for (const BudgetSpan& span : kBudgetSpans) known.push_back(span.word);
    reader.problem(place, "unknown time " + quoted(word) + did_you_mean(word, known));
    return std::nullopt;
}

void read_rate(Reader& reader, std::string_view text, Place place, compiled::Budget& to) {
    const std::size_t slash = std::min(text.find('/'), text.size());
    const std::size_t end = std::min(text.find(kBurst), text.size());
    const auto requests = number(text.substr(0, slash));
    const auto burst = end == text.size() ? requests : number(text.substr(end + kBurst.size()));
    const std::string_view word = slash < end ? text.substr(slash + 1, end - slash - 1) : std::string_view();
    if (!requests || !burst || word.empty() || word.find(' ') != word.npos)
        return reader.problem(place, kRateForm);
    const auto span = span_of(reader, word, place);
    if (!span) return;
    if (!is_flow(flow_of(*requests, *burst, *span)))
        return reader.problem(place,
                              "a burst of " + std::to_string(*burst) + " takes longer than a year to fill");
    to.set_requests(*requests);
    to.set_burst(*burst);
    to.set_per_ms(*span);
}

void read_bytes(Reader& reader, std::string_view text, Place place, compiled::Budget& to) {
    const std::size_t slash = std::min(text.find('/'), text.size());
    const auto size = parse_size(text.substr(0, slash));
    if (slash == text.size() || !size) {
        const auto meant = suggest_size(text.substr(0, slash));
        const std::string hint =
            meant && !size ? "; did you mean '" + *meant + std::string(text.substr(slash)) + "'?" : "";
        return reader.problem(place, std::string(kBytesForm) + hint);
    }
    const auto span = span_of(reader, text.substr(slash + 1), place);
    if (!span) return;
    if (!is_flow(flow_of(*size, *size, *span)))
        return reader.problem(place, "'bytes' must be at most 1000000000B/s");
    to.set_bytes(*size);
    to.set_bytes_per_ms(*span);
}

void read_concurrent(Reader& reader, const toml::node& node, compiled::Budget& to) {
    const auto* integer = node.as_integer();
    if (integer == nullptr) return reader.wrong_type(node, "concurrent", "a number");
    const auto most = static_cast<std::int64_t>(kMaxOpenFiles);
    if (integer->get() < 1 || integer->get() > most)
        return reader.problem(place_of(node), "'concurrent' must be from 1 to " + std::to_string(most));
    to.set_concurrent(static_cast<std::uint32_t>(integer->get()));
}

/// Why a key means nothing in the rule; empty if it means something.
std::string idle_reason(std::string_view key, CommandSet commands, const compiled::Rule& to) {
    const std::string nothing = quoted(key) + " means nothing ";
    if (to.effect() != compiled::Rule::ALLOW) return nothing + "in a deny rule";
    const auto is_taken = [&](const Command& row) { return commands.has(row.id) && is_counted(row); };
    if (key == "rate" && std::ranges::none_of(kCommands, is_taken))
        return nothing + "here: no command of the rule is counted";
    if (key == "bytes" && !moves_bytes(commands))
        return nothing + "here: the rule allows neither guest-file-open nor guest-exec";
    if (key != "concurrent" || commands.has(CommandId::kFileOpen)) return "";
    if (commands.has(CommandId::kExec))
        return nothing + "here: it counts open files; each 'exec' table has a 'concurrent' of its own";
    return nothing + "here: the rule does not allow guest-file-open";
}

// Else no host could ever fetch a long one.
void check_results(Reader& reader, const compiled::Rule& rule, Place place) {
    std::uint64_t longest = 0;
    for (const ipc::ExecTemplate& one : rule.exec()) longest = std::max<std::uint64_t>(longest, one.output());
    if (rule.budget().bytes() != 0 && rule.budget().bytes() < 2 * longest)
        reader.problem(place,
                       "'bytes' must have room for what a program writes: twice the 'output' of each "
                       "'exec' table, here " +
                           size_text(2 * longest));
}

}  // namespace

void read_budget(Reader& reader, const toml::table& rule, CommandSet commands, compiled::Rule& to) {
    for (const std::string_view key : kBudgetKeys) {
        const toml::node* node = rule.get(key);
        if (node == nullptr) continue;
        const Place place = place_of(*node);
        if (const std::string why = idle_reason(key, commands, to); !why.empty()) {
            reader.problem(place, why);
            continue;
        }
        compiled::Budget& budget = *to.mutable_budget();
        if (key == "concurrent") {
            read_concurrent(reader, *node, budget);
            continue;
        }
        const auto text = reader.text(rule, key);
        if (!text) continue;
        if (key == "rate")
            read_rate(reader, *text, place, budget);
        else
            read_bytes(reader, *text, place, budget);
        if (key == "bytes") check_results(reader, to, place);
    }
}

}  // namespace sallyport::policy::compile
