// The page of `report`: one file, without a script, that loads nothing.
//
// THREAT: a hostile host writes parts of the log, and the page is opened in a browser of the admin's. Every value goes through html(),
// and the page forbids scripts, forms and whatever comes from elsewhere.
#include <algorithm>
#include <array>
#include <cstdio>
#include <span>

#include "policy/tool/compile/problems.hpp"
#include "policy/tool/verbs/report.hpp"

namespace sallyport::policy::cli {

namespace {

constexpr std::size_t kPageColumns = 96;
constexpr std::size_t kMostPageRows = 20;
constexpr std::size_t kMostDenials = 40;
constexpr std::size_t kMostFreezes = 40;

// clang-format off
constexpr std::string_view kHead = R"(<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<meta name="referrer" content="no-referrer">
<title>Sallyport: what the host asked</title>
<style>
:root { --page: #f7f6f3; --card: #ffffff; --ink: #24292e; --soft: #5f6870; --line: #e4e2dc; --code: #f1efea;
  --allow: #4f7f9f; --refuse: #b4472f; --fail: #c08a2b; --violation: #7b3b73; --good: #3d7a55; }
@media (prefers-color-scheme: dark) {
  :root { --page: #15181b; --card: #1c2024; --ink: #e3e6e8; --soft: #97a1a9; --line: #2d3338; --code: #23282d;
    --allow: #6b9fc1; --refuse: #dc7a62; --fail: #d8ab55; --violation: #b67fae; --good: #71b48c; }
}
* { box-sizing: border-box; }
body { margin: 0; background: var(--page); color: var(--ink); font: 16px/1.55 system-ui, -apple-system, "Segoe UI", Roboto, "Noto Sans", sans-serif; }
main { max-width: 62rem; margin: 0 auto; padding: 2.5rem 1.25rem 4rem; }
h1 { font-size: 1.7rem; line-height: 1.25; font-weight: 600; letter-spacing: -0.01em; margin: 0 0 0.35rem; }
h2 { font-size: 1.05rem; font-weight: 600; margin: 0 0 1rem; }
p { margin: 0 0 0.75rem; }
.soft { color: var(--soft); }
.small { font-size: 0.875rem; }
section { background: var(--card); border: 1px solid var(--line); border-radius: 12px; padding: 1.25rem 1.4rem 1.35rem; margin-top: 1.25rem; }
.tiles { display: grid; grid-template-columns: repeat(4, minmax(0, 1fr)); gap: 0.75rem; margin-top: 1.75rem; }
.tile { background: var(--card); border: 1px solid var(--line); border-radius: 12px; padding: 0.85rem 1rem 0.9rem; }
.tile b { display: block; font-size: 1.55rem; line-height: 1.2; font-weight: 600; font-variant-numeric: tabular-nums; }
.tile.bad b { color: var(--refuse); }
.tile.good b { color: var(--good); }
figure { margin: 0 0 1.4rem; }
figure:last-of-type { margin-bottom: 0.5rem; }
figcaption { display: flex; justify-content: space-between; gap: 1rem; margin-bottom: 0.4rem; }
svg { display: block; width: 100%; height: 8.5rem; border-bottom: 1px solid var(--line); }
svg.low { height: 4.5rem; }
.axis { display: flex; justify-content: space-between; gap: 1rem; margin-top: 0.35rem; font-variant-numeric: tabular-nums; }
.allow { fill: var(--allow); background: var(--allow); }
.refuse { fill: var(--refuse); background: var(--refuse); }
.fail { fill: var(--fail); background: var(--fail); }
.violation { fill: var(--violation); background: var(--violation); }
.key { display: flex; flex-wrap: wrap; gap: 0.3rem 1.1rem; }
.key i { display: inline-block; width: 0.7em; height: 0.7em; border-radius: 3px; margin-right: 0.45em; }
.rows { display: grid; gap: 0.7rem; }
.row { display: grid; grid-template-columns: minmax(0, 1fr) auto; gap: 0.1rem 1rem; }
.row span { font-variant-numeric: tabular-nums; }
.name { overflow-wrap: anywhere; }
.bar { grid-column: 1 / -1; display: flex; height: 7px; border-radius: 4px; overflow: hidden; background: var(--code); }
.bar i { display: block; min-width: 2px; }
.list { display: grid; gap: 1.15rem; }
article + article { border-top: 1px solid var(--line); padding-top: 1.1rem; }
article h3 { font-size: 1rem; font-weight: 600; margin: 0; display: flex; flex-wrap: wrap; justify-content: space-between; gap: 0 1rem; }
article h3 span { font-weight: 400; }
article p { margin: 0.2rem 0 0; overflow-wrap: anywhere; }
code { font: 0.85rem/1.5 ui-monospace, SFMono-Regular, Menlo, "DejaVu Sans Mono", monospace; overflow-wrap: anywhere; }
.command { display: block; background: var(--code); border-radius: 8px; padding: 0.5rem 0.75rem; margin-top: 0.55rem; user-select: all; -webkit-user-select: all; }
ul { margin: 0; padding-left: 1.2rem; }
li { overflow-wrap: anywhere; }
footer { margin-top: 2rem; }
@media (max-width: 34rem) { .tiles { grid-template-columns: repeat(2, minmax(0, 1fr)); } main { padding: 1.5rem 0.9rem 3rem; } section { padding: 1rem 1rem 1.1rem; } h1 { font-size: 1.4rem; } }
@media print { body { background: #fff; } section, .tile { break-inside: avoid; } }
</style>
</head>
<body>
<main>
)";
// clang-format on

constexpr std::string_view kTail = "</main>\n</body>\n</html>\n";

/// A text that no browser takes for anything else.
std::string html(std::string_view text, std::size_t most = 512) {
    std::string safe;
    for (const char c : compile::printable(text, most)) switch (c) {
            case '&':
                safe += "&amp;";
                break;
            case '<':
                safe += "&lt;";
                break;
            case '>':
                safe += "&gt;";
                break;
            case '"':
                safe += "&quot;";
                break;
            case '\'':
                safe += "&#39;";
                break;
            default:
                safe += c;
        }
    return safe;
}

std::string number_text(double number) {
    std::array<char, 32> text{};
    std::snprintf(text.data(), text.size(), "%.3f", number);
    return text.data();
}

std::string percent(std::uint64_t part, std::uint64_t whole) {
    return number_text(100.0 * static_cast<double>(part) /
                       static_cast<double>(std::max<std::uint64_t>(whole, 1)));
}

std::string section(std::string_view id, std::string_view title, const std::string& inside) {
    return "<section id=\"" + std::string(id) + "\">\n<h2>" + std::string(title) + "</h2>\n" + inside +
           "</section>\n";
}

std::string tile(const std::string& value, std::string_view name, std::string_view kind = "") {
    return "<div class=\"tile" + (kind.empty() ? "" : " " + std::string(kind)) + "\"><b>" + html(value) +
           "</b><span class=\"soft small\">" + std::string(name) + "</span></div>\n";
}

std::string tiles(const Facts& facts) {
    const log::Tally& tally = facts.tally;
    const Sums sums = sums_of(tally);
    const std::uint64_t refused = sums.verdicts[log::kRefuse];
    std::uint64_t violations = 0;
    for (const auto& [what, counts] : tally.events) violations += counts[log::kViolation];
    const bool holds = std::ranges::all_of(tally.chains, [](const auto& chain) { return chain.breaks == 0; });
    return "<div class=\"tiles\">\n" + tile(grouped(sums.all), "requests") +
           tile(grouped(refused), "refused", refused != 0 ? "bad" : "") +
           tile(grouped(sums.verdicts[log::kFail]), "failed") +
           tile(grouped(violations), "violations", violations != 0 ? "bad" : "") +
           tile(grouped(tally.freeze_count), "freezes") + tile(grouped(tally.starts), "starts of the agent") +
           tile(grouped(tally.lost), "records lost", tally.lost != 0 ? "bad" : "") +
           tile(holds ? "holds" : "broken", "chain of the log", holds ? "good" : "bad") + "</div>\n";
}

constexpr std::array<std::size_t, 4> kShown{log::kAllow, log::kFail, log::kRefuse, log::kViolation};
constexpr std::array<std::size_t, 3> kBad{log::kFail, log::kRefuse, log::kViolation};

/// A chart of one column for each span, the verdicts on top of each other.
std::string chart(const std::vector<log::Timeline::Span>& spans, std::span<const std::size_t> verdicts,
                  const char* name, const char* kind) {
    std::uint64_t most = 0;
    for (const auto& span : spans) {
        std::uint64_t sum = 0;
        for (const std::size_t verdict : verdicts) sum += span.counts[verdict];
        most = std::max(most, sum);
    }
    std::string columns;
    for (std::size_t at = 0; at < spans.size(); ++at) {
        double top = 100;
        for (const std::size_t verdict : verdicts) {
            const std::uint64_t count = spans[at].counts[verdict];
            if (count == 0) continue;
            const double height = 100.0 * static_cast<double>(count) / static_cast<double>(most);
            top -= height;
            columns += "<rect class=\"" + std::string(log::kVerdicts[verdict]) + "\" x=\"" +
                       number_text(static_cast<double>(at) + 0.08) + "\" y=\"" + number_text(top) +
                       "\" width=\"0.84\" height=\"" + number_text(height) + "\"><title>" +
                       html(time_text(spans[at].begin)) + ": " + grouped(count) + " " +
                       std::string(log::kVerdicts[verdict]) + "</title></rect>\n";
        }
    }
    return "<figure><figcaption class=\"soft small\"><span>" + std::string(name) + "</span><span>at most " +
           grouped(most) + "</span></figcaption>\n<svg class=\"" + kind + "\" role=\"img\" aria-label=\"" +
           name + " over time\" viewBox=\"0 0 " + std::to_string(spans.size()) +
           " 100\" preserveAspectRatio=\"none\">\n" + columns + "</svg>\n";
}

std::string axis(const std::vector<log::Timeline::Span>& spans, WallTime width) {
    return "<div class=\"axis soft small\"><span>" + html(time_text(spans.front().begin)) + "</span><span>" +
           html(time_text(spans.back().begin + width)) + "</span></div></figure>\n";
}

std::string course(const Facts& facts) {
    const auto spans = facts.tally.course.spans(kPageColumns);
    if (spans.empty()) return section("course", "Over time", "<p class=\"soft\">No request at all.</p>\n");
    const WallTime width = facts.tally.course.width(spans);
    std::string text = chart(spans, kShown, "Requests", "high") + axis(spans, width);
    const Sums sums = sums_of(facts.tally);
    if (sums.verdicts[log::kRefuse] + sums.verdicts[log::kFail] + sums.verdicts[log::kViolation] != 0)
        text += chart(spans, kBad, "Of these refused or failed", "low") + axis(spans, width);
    text +=
        "<div class=\"key soft small\"><span><i class=\"allow\"></i>allowed</span><span><i "
        "class=\"fail\"></i>failed</span>"
        "<span><i class=\"refuse\"></i>refused</span><span><i "
        "class=\"violation\"></i>violation</span><span>one column is " +
        html(duration_text(static_cast<std::uint64_t>(width) * 1'000'000)) + "</span></div>\n";
    if (const auto count = facts.tally.course.left_out(spans); count != 0)
        text += "<p class=\"soft small\">" + grouped(count) +
                " requests lie far from all others, by a clock that was wrong, and are not shown.</p>\n";
    return section("course", "Over time", text);
}

std::string rows(const std::vector<Counted>& list) {
    if (list.empty()) return "<p class=\"soft\">None.</p>\n";
    const std::uint64_t most = list.front().all;
    std::string text = "<div class=\"rows\">\n";
    for (std::size_t at = 0; at < std::min(list.size(), kMostPageRows); ++at) {
        const Counted& row = list[at];
        const std::uint64_t refused = row.counts[log::kRefuse];
        text += "<div class=\"row\"><span class=\"name\">" + html(row.name) + "</span><span class=\"soft\">" +
                grouped(row.all) + (refused == 0 ? "" : ", " + grouped(refused) + " refused") +
                "</span><div class=\"bar\">";
        for (const std::size_t verdict : kShown)
            if (row.counts[verdict] != 0)
                text += "<i class=\"" + std::string(log::kVerdicts[verdict]) +
                        "\" style=\"width:" + percent(row.counts[verdict], most) + "%\"></i>";
        text += "</div></div>\n";
    }
    text += "</div>\n";
    if (list.size() > kMostPageRows)
        text += "<p class=\"soft small\">And " + std::to_string(list.size() - kMostPageRows) + " more.</p>\n";
    return text;
}

std::string denial_text(const Facts& facts, const log::Denial& one) {
    const std::string line = explain_line(facts, one);
    std::string text = "<article>\n<h3>" + html(one.what) + "<span class=\"soft small\">" +
                       grouped(one.seen.all()) + " ×, last " + html(time_text(one.seen.last)) +
                       "</span></h3>\n";
    if (!one.arguments.empty())
        text += "<p><code>" + html(words_of_log(one.arguments), 400) + "</code></p>\n";
    text += "<p class=\"soft small\">" + html(log::unescaped(one.reason)) +
            (one.rule.empty() ? "" : ", rule " + html(one.rule)) + "</p>\n";
    if (!line.empty()) text += "<code class=\"command\">" + html(line, 8192) + "</code>\n";
    return text + "</article>\n";
}

std::string denials(const Facts& facts) {
    const auto list = denials_of(facts.tally);
    if (list.empty()) return section("refused", "Refused", "<p class=\"soft\">Nothing was refused.</p>\n");
    std::string text = "<div class=\"list\">\n";
    for (std::size_t at = 0; at < std::min(list.size(), kMostDenials); ++at)
        text += denial_text(facts, list[at]);
    text += "</div>\n";
    const std::uint64_t more = facts.tally.other_denials;
    if (list.size() > kMostDenials)
        text += "<p class=\"soft small\">And " + std::to_string(list.size() - kMostDenials) +
                " more kinds.</p>\n";
    if (more != 0)
        text += "<p class=\"soft small\">" + grouped(more) + " others were not kept in mind.</p>\n";
    return section("refused", "Refused, the latest first", text);
}

std::string spent(const Facts& facts) {
    if (facts.tally.spent.empty()) return {};
    std::string text = "<p class=\"soft\">Refused because a rule's budget was spent:</p>\n<ul>\n";
    for (const auto& [budget, count] : facts.tally.spent)
        text += "<li>" + html(budget) + ": " + grouped(count) + "</li>\n";
    return section("budgets", "Budgets", text + "</ul>\n");
}

std::string freeze_row(const Facts& facts, const log::Freeze& freeze) {
    const auto limit = limit_of(facts, freeze);
    const std::uint64_t length = freeze.length_us.value_or(0);
    const std::uint64_t whole = std::max(limit.value_or(facts.tally.longest_us), length);
    const bool is_late = limit && length > *limit + kThawSlackUs;
    return "<div class=\"row\"><span class=\"name\">" + html(time_text(freeze.begin)) +
           " <span class=\"soft small\">" + grouped(freeze.file_systems) + " file systems, " +
           html(end_text(freeze)) + "</span></span><span>" +
           (freeze.length_us ? html(duration_text(length)) : std::string("?")) +
           (limit ? " <span class=\"soft\">of " + html(duration_text(*limit)) + "</span>" : "") +
           "</span><div class=\"bar\"><i class=\"" + (is_late ? "refuse" : "allow") +
           "\" style=\"width:" + percent(length, whole) + "%\"></i></div></div>\n";
}

std::string freezes(const Facts& facts) {
    const log::Tally& tally = facts.tally;
    if (tally.freeze_count == 0)
        return section("freezes", "Freezes", "<p class=\"soft\">Nothing was frozen.</p>\n");
    std::string text = "<p class=\"soft\">" + grouped(tally.freeze_count) + " freezes, the longest " +
                       html(duration_text(tally.longest_us)) + ", together " +
                       html(duration_text(tally.frozen_us)) + ".</p>\n<div class=\"rows\">\n";
    const std::size_t count = std::min(tally.freezes.size(), kMostFreezes);
    for (std::size_t at = tally.freezes.size(); at > tally.freezes.size() - count; --at)
        text += freeze_row(facts, tally.freezes[at - 1]);
    return section("freezes", "Freezes", text + "</div>\n");
}

std::string unused(const Facts& facts) {
    if (facts.policy.empty()) return {};
    if (facts.unused.empty())
        return section("unused", "Never needed", "<p class=\"soft\">All of the policy was needed.</p>\n");
    std::string text = "<p class=\"soft\">Of " + html(facts.policy, 4096) + ", no request needed</p>\n<ul>\n";
    for (const std::string& part : facts.unused) text += "<li>" + html(part, 1024) + "</li>\n";
    return section("unused", "Never needed", text + "</ul>\n");
}

std::string dry_runs(const Facts& facts) {
    if (facts.tally.tried.empty()) return {};
    std::string text = "<ul>\n";
    for (const auto& [id, tried] : facts.tally.tried)
        text += "<li>" + html(id) + " would have refused " + grouped(tried.refused) + " and allowed " +
                grouped(tried.allowed) + ", last " + html(time_text(tried.last)) + "</li>\n";
    return section("dry-runs", "Dry runs", text + "</ul>\n");
}

std::string losses(const Facts& facts) {
    const log::Tally& tally = facts.tally;
    std::string text = tally.lost == 0
                           ? "<p class=\"soft\">No record was lost.</p>\n"
                           : "<p>" + grouped(tally.lost) + " records were lost for want of room.</p>\n";
    if (!tally.unwritten.empty()) {
        text += "<p class=\"soft\">Came too often to be written one by one:</p>\n<ul>\n";
        for (const auto& [what, count] : tally.unwritten)
            text += "<li>" + html(what) + ": " + grouped(count) + "</li>\n";
        text += "</ul>\n";
    }
    return section("lost", "Lost", text);
}

std::string chains(const Facts& facts) {
    std::string text = "<ul>\n";
    for (const log::ChainState& chain : facts.tally.chains)
        text += "<li>" + html(state_text(facts, chain), 8192) + "</li>\n";
    text += "</ul>\n";
    if (const auto bad = facts.reading.damaged + facts.reading.too_long; bad != 0) {
        text += "<p>" + grouped(bad) + " lines are no records:</p>\n<ul>\n";
        for (const std::string& example : facts.reading.examples)
            text += "<li>" + html(example, 4096) + "</li>\n";
        text += "</ul>\n";
    }
    return section("chain", "The log itself", text);
}

}  // namespace

std::string page_of(const Facts& facts) {
    const log::Tally& tally = facts.tally;
    std::string text(kHead);
    text += "<header>\n<h1>What the host asked of this guest</h1>\n<p class=\"soft\">" +
            html(time_text(tally.first)) + " to " + html(time_text(tally.last)) + " UTC. Policy " +
            (tally.last_policy.empty() ? "unknown" : html(tally.last_policy)) + ".</p>\n" + tiles(facts) +
            "</header>\n";
    text += course(facts) + section("commands", "Commands", rows(commands_of(tally))) +
            section("rules", "Rules that decided", rows(rules_of(tally))) + denials(facts) + spent(facts) +
            freezes(facts) + dry_runs(facts) + unused(facts) + losses(facts) + chains(facts);
    text += "<footer class=\"soft small\"><p>By sallyport-policy report, of " +
            std::to_string(facts.logs.sources().size()) + " files with " + grouped(facts.reading.lines) +
            " lines. This page has no script and loads nothing.</p></footer>\n";
    return text.append(kTail);
}

}  // namespace sallyport::policy::cli
