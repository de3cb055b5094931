#include "policy/tool/compile/set_rule.hpp"

#include <algorithm>
#include <array>
#include <charconv>
#include <string>
#include <vector>

#include "ipc/limits.hpp"
#include "policy/tool/compile/problems.hpp"
#include "policy/tool/compile/units.hpp"

namespace sallyport::policy::compile {

namespace {

using ipc::SetRule;
using Span = SetRule::Spans::Span;

constexpr std::string_view kAny = "any";
constexpr std::uint64_t kMostNumber = 1'000'000'000;
constexpr std::uint32_t kMostStepMs = 1000 * 3'600'000U;
constexpr std::uint32_t kMostProcessors = 65'536;
constexpr std::array<std::string_view, 1> kTimeKeys{"max_step"};
constexpr std::array<std::string_view, 2> kVcpuKeys{"min_online", "cpus"};
constexpr std::array<std::string_view, 1> kMemoryKeys{"blocks"};

std::optional<std::uint64_t> parse_number(std::string_view text) {
    std::uint64_t value = 0;
    const auto [stopped, error] = std::from_chars(text.data(), text.data() + text.size(), value);
    const bool is_whole = error == std::errc{} && stopped == text.data() + text.size();
    return is_whole && value <= kMostNumber ? std::optional(value) : std::nullopt;
}

std::string text_of(const Span& span) {
    const std::string least = std::to_string(span.least());
    return span.least() == span.most() ? least : least + "-" + std::to_string(span.most());
}

// One of "0-7,9": a number, or the first and the last of several.
std::optional<Span> parse_span(std::string_view text) {
    const std::size_t dash = std::min(text.find('-'), text.size());
    const auto least = parse_number(text.substr(0, dash));
    const auto most = dash == text.size() ? least : parse_number(text.substr(dash + 1));
    if (!least || !most) return std::nullopt;
    Span span;
    span.set_least(*least);
    span.set_most(*most);
    return span;
}

void add_in_order(std::vector<Span> spans, SetRule::Spans& to) {
    std::ranges::sort(spans, {}, &Span::least);
    for (const Span& one : spans) {
        const int last = to.span_size() - 1;
        if (last >= 0 && one.least() <= to.span(last).most() + 1)
            to.mutable_span(last)->set_most(std::max(one.most(), to.span(last).most()));
        else
            *to.add_span() = one;
    }
}

void read_spans(Reader& reader, const toml::table& table, std::string_view key, SetRule::Spans& to) {
    const std::string name = quoted(key);
    const std::string example = "numbers like \"0-7\" or \"1-3,8\", or \"any\"";
    if (!table.contains(key)) return reader.problem(place_of(table), name + " is missing: " + example);
    const toml::node& node = *table.get(key);
    const auto* string = node.as_string();
    if (string == nullptr) return reader.wrong_type(node, key, example);
    if (string->get() == kAny) return to.set_any(true);
    std::vector<Span> spans;
    for (std::string_view left = string->get();;) {
        const std::size_t end = std::min(left.find(','), left.size());
        const auto span = parse_span(left.substr(0, end));
        if (!span) return reader.problem(place_of(node), name + " must be " + example);
        if (span->least() > span->most()) {
            Span meant;
            meant.set_least(span->most());
            meant.set_most(span->least());
            return reader.problem(place_of(node), name + " has no number from " +
                                                      std::to_string(span->least()) + " to " +
                                                      std::to_string(span->most()) + "; did you mean \"" +
                                                      text_of(meant) + "\"?");
        }
        spans.push_back(*span);
        if (end == left.size()) break;
        left.remove_prefix(end + 1);
    }
    add_in_order(std::move(spans), to);
    if (static_cast<std::size_t>(to.span_size()) > kMaxSpans)
        reader.problem(place_of(node), name + " has more than " + std::to_string(kMaxSpans) + " parts");
}

void read_time(Reader& reader, const toml::table& table, SetRule& to) {
    reader.only_keys(table, kTimeKeys, "'time'");
    SetRule::Step& step = *to.mutable_time();
    if (!table.contains("max_step"))
        return reader.problem(
            place_of(table),
            "'time' needs 'max_step', how far the clock may be set in either direction, like \"5m\"");
    const auto text = reader.text(table, "max_step");
    if (!text) return;
    if (*text == kAny) return step.set_any(true);
    const auto duration = parse_duration_ms(*text);
    if (duration && *duration <= kMostStepMs) return step.set_max_ms(*duration);
    reader.problem(
        place_of(*table.get("max_step")),
        "'max_step' must be from 1 ms to 1000 hours, like \"500ms\", \"5m\" or \"1h\", or \"any\"");
}

void read_vcpus(Reader& reader, const toml::table& table, SetRule& to) {
    reader.only_keys(table, kVcpuKeys, "'vcpus'");
    SetRule::Processors& bounds = *to.mutable_vcpus();
    bounds.set_min_online(1);
    read_spans(reader, table, "cpus", *bounds.mutable_cpus());
    const toml::node* node = table.get("min_online");
    if (node == nullptr)
        return reader.problem(place_of(table), "'vcpus' needs 'min_online', how many stay online, like 1");
    const auto* count = node->as_integer();
    if (count != nullptr && count->get() >= 1 && count->get() <= std::int64_t{kMostProcessors})
        return bounds.set_min_online(static_cast<std::uint32_t>(count->get()));
    reader.problem(place_of(*node),
                   "'min_online' must be a number from 1 to " + std::to_string(kMostProcessors));
}

void read_memory(Reader& reader, const toml::table& table, SetRule& to) {
    reader.only_keys(table, kMemoryKeys, "'memory'");
    read_spans(reader, table, "blocks", *to.mutable_blocks());
}

struct Key {
    std::string_view name;
    CommandId command;
    std::string_view example;
    void (*read)(Reader& reader, const toml::table& table, SetRule& to);
};
constexpr std::array kSetKeys{
    Key{"time", CommandId::kSetTime, "time = { max_step = \"5m\" }", read_time},
    Key{"vcpus", CommandId::kSetVcpus, "vcpus = { min_online = 1, cpus = \"0-7\" }", read_vcpus},
    Key{"memory", CommandId::kSetMemoryBlocks, "memory = { blocks = \"0-63\" }", read_memory},
};

}  // namespace

void read_sets(Reader& reader, const toml::table& rule, compiled::Rule& to) {
    const bool is_allow = to.effect() == compiled::Rule::ALLOW;
    for (const Key& key : kSetKeys) {
        const auto number = static_cast<std::uint32_t>(key.command);
        const bool sets = std::ranges::find(to.commands(), number) != to.commands().end();
        const std::string command(command_row(key.command).name);
        const toml::node* node = rule.get(key.name);
        if (node == nullptr && sets && is_allow) {
            reader.problem(
                place_of(*rule.get("commands")),
                "a rule that allows " + command + " must say how far: " + std::string(key.example));
        } else if (node != nullptr && !is_allow) {
            reader.problem(place_of(*node), quoted(key.name) + " means nothing in a deny rule");
        } else if (node != nullptr && !sets) {
            reader.problem(place_of(*node),
                           quoted(key.name) + " means nothing here: the rule does not allow " + command);
        } else if (const toml::table* table = reader.table(rule, key.name)) {
            key.read(reader, *table, *to.add_sets());
        }
    }
}

}  // namespace sallyport::policy::compile
