// What `time`, `vcpus` and `memory` of a rule look at: how far the clock is set, and which processors or blocks are named.
#include <algorithm>
#include <array>
#include <charconv>
#include <set>

#include "base/clock.hpp"
#include "policy/tool/analyse/feature.hpp"
#include "policy/tool/analyse/orders.hpp"
#include "policy/tool/analyse/sets.hpp"

namespace sallyport::policy::analyse {

namespace {

using ipc::SetRule;

constexpr std::size_t kMostNumbers = 4096;

struct TimeUnit {
    std::string_view word;
    std::int64_t ns;
};
constexpr std::array kTimeUnits{TimeUnit{"h", 3'600'000 * kNsPerMs},
                                TimeUnit{"m", 60'000 * kNsPerMs},
                                TimeUnit{"s", 1000 * kNsPerMs},
                                TimeUnit{"ms", kNsPerMs},
                                TimeUnit{"us", 1000},
                                TimeUnit{"ns", 1}};

/// What of the decision is about the bounds: all but when the rule counts.
bool is_within(const SetRule& by, const Request& request) {
    SetRule always = by;
    always.clear_times();
    SetRules rules;
    *rules.Add() = std::move(always);
    return decide_set(rules, set_order_of(request), clocks_of(request)).at >= 0;
}

bool meets_set(const Clause& clause, const Request& request) {
    return clause.set == nullptr || is_within(*clause.set, request);
}

// A rule takes a step in either direction, or in none.
void split_step(const Alive& alive, Request& request, const Visit& visit) {
    std::set<std::int64_t> steps{0};
    for (const Clause* clause : alive) {
        if (clause->set == nullptr || clause->set->time().any()) continue;
        const std::int64_t most = clause->set->time().max_ms();
        steps.insert({most, most + 1});
    }
    request.set.step_ns.reset();
    visit();
    for (const std::int64_t step : steps) {
        request.set.step_ns = step * kNsPerMs;
        visit();
    }
}

bool limits_step(const Clause& clause) {
    return clause.set != nullptr && !clause.set->time().any();
}

void loosen_step(Rule& rule, std::size_t) {
    for (SetRule& one : rule.sets)
        if (one.has_time()) one.mutable_time()->set_any(true);
}

std::string show_step(const Request& request) {
    if (!request.set.step_ns) return "";
    const std::int64_t step = *request.set.step_ns;
    const auto unit =
        std::ranges::find_if(kTimeUnits, [step](const TimeUnit& one) { return step % one.ns == 0; });
    return step == 0 ? "0s" : std::to_string(step / unit->ns) + std::string(unit->word);
}

bool read_step(Request& request, const std::string& word) {
    std::int64_t number = 0, step = 0;
    const char* const begin = word.data() + (word.starts_with('+') ? 1 : 0);
    const char* const end = word.data() + word.size();
    const auto [stopped, error] = std::from_chars(begin, end, number);
    const auto unit = std::ranges::find(kTimeUnits, std::string_view(stopped, end), &TimeUnit::word);
    if (error != std::errc{} || unit == kTimeUnits.end() || __builtin_mul_overflow(number, unit->ns, &step))
        return false;
    request.set.step_ns = step;
    return true;
}

const SetRule::Spans& spans_of(const SetRule& rule) {
    return rule.has_vcpus() ? rule.vcpus().cpus() : rule.blocks();
}

// A number of each class: where the numbers of a rule begin, and where they have ended.
void split_numbers(const Alive& alive, Request& request, const Visit& visit) {
    std::set<std::uint64_t> edges{0};
    for (const Clause* clause : alive) {
        if (clause->set == nullptr) continue;
        for (const SetRule::Spans::Span& one : spans_of(*clause->set).span())
            edges.insert({one.least(), one.most() + 1});
    }
    Request alone{.command = request.command, .time = request.time};
    const auto takes = [&](const Clause& clause, std::uint64_t number) {
        alone.set.numbers = {number};
        return meets_set(clause, alone);
    };
    for (auto& numbers : sets_of(alive, std::vector<std::uint64_t>(edges.begin(), edges.end()), takes)) {
        request.set.numbers = std::move(numbers);
        visit();
    }
}

bool limits_numbers(const Clause& clause) {
    return clause.set != nullptr && !spans_of(*clause.set).any();
}

void make_any(SetRule::Spans& spans) {
    spans.clear_span();
    spans.set_any(true);
}
void loosen_cpus(Rule& rule, std::size_t) {
    for (SetRule& one : rule.sets)
        if (one.has_vcpus()) make_any(*one.mutable_vcpus()->mutable_cpus());
}
void loosen_blocks(Rule& rule, std::size_t) {
    for (SetRule& one : rule.sets)
        if (one.has_blocks()) make_any(*one.mutable_blocks());
}

std::string show_numbers(const Request& request) {
    std::string text;
    for (const std::uint64_t number : request.set.numbers)
        text.append(text.empty() ? "" : ",").append(std::to_string(number));
    return text;
}

std::optional<std::uint64_t> read_number(std::string_view text) {
    std::uint64_t number = 0;
    const char* const end = text.data() + text.size();
    const auto [stopped, error] = std::from_chars(text.data(), end, number);
    return error == std::errc{} && stopped == end ? std::optional(number) : std::nullopt;
}

// One of "0-7,9".
bool read_part(std::string_view text, std::vector<std::uint64_t>& to) {
    const std::size_t dash = std::min(text.find('-'), text.size());
    const auto least = read_number(text.substr(0, dash));
    const auto most = dash == text.size() ? least : read_number(text.substr(dash + 1));
    if (!least || !most || *most < *least || *most - *least >= kMostNumbers) return false;
    for (std::uint64_t more = 0; more <= *most - *least; ++more) to.push_back(*least + more);
    return to.size() <= kMostNumbers;
}

bool read_numbers(Request& request, const std::string& word) {
    request.set.numbers.clear();
    for (std::string_view left = word;;) {
        const std::size_t end = std::min(left.find(','), left.size());
        if (!read_part(left.substr(0, end), request.set.numbers)) return false;
        if (end == left.size()) return true;
        left.remove_prefix(end + 1);
    }
}

constexpr Subject kC = Subject::kClock;
constexpr Subject kP = Subject::kProcessors;
constexpr Subject kB = Subject::kBlocks;

// clang-format off
constexpr std::array kClockFeatures{
    //      name      key         of  split          meets      limits          loosen         show          read
    Feature{"step",   "max_step", kC, split_step,    meets_set, limits_step,    loosen_step,   show_step,    read_step},
    when_feature(kC),
    time_feature(kC),
};
constexpr std::array kProcessorFeatures{
    Feature{"cpus",   "cpus",     kP, split_numbers, meets_set, limits_numbers, loosen_cpus,   show_numbers, read_numbers},
    when_feature(kP),
    time_feature(kP),
};
constexpr std::array kBlockFeatures{
    Feature{"blocks", "blocks",   kB, split_numbers, meets_set, limits_numbers, loosen_blocks, show_numbers, read_numbers},
    when_feature(kB),
    time_feature(kB),
};
// clang-format on

}  // namespace

std::span<const Feature> clock_features() {
    return kClockFeatures;
}

std::span<const Feature> processor_features() {
    return kProcessorFeatures;
}

std::span<const Feature> block_features() {
    return kBlockFeatures;
}

}  // namespace sallyport::policy::analyse
