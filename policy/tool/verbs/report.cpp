// report: what a log says on the whole, in words. The page says the same, see report_page.cpp.
#include "policy/tool/verbs/report.hpp"

#include <algorithm>
#include <array>
#include <cstdio>

#include "policy/tool/analyse/feature.hpp"
#include "policy/tool/compile/problems.hpp"
#include "policy/tool/log/replay.hpp"
#include "policy/tool/verbs/dry_runs.hpp"
#include "policy/tool/verbs/files.hpp"
#include "policy/tool/verbs/json.hpp"
#include "policy/tool/verbs/logs.hpp"
#include "policy/tool/verbs/verb.hpp"

namespace sallyport::policy::cli {

namespace {

using compile::printable;
using log::kVerdicts;

constexpr int kBroken = 3;
constexpr std::size_t kMostRows = 12;
constexpr std::size_t kColumns = 60;
constexpr std::string_view kDefaultPolicy = "/etc/sallyport/policy.toml";

std::string padded(std::string text, std::size_t width) {
    text.resize(std::max(text.size(), width), ' ');
    return text;
}

std::string right(const std::string& text, std::size_t width) {
    return std::string(width - std::min(width, text.size()), ' ') + text;
}

/// A bar for each span, as high as its share of the highest.
std::string bars(const std::vector<log::Timeline::Span>& spans, const auto& value_of) {
    constexpr std::array kBars{" ", "▁", "▂", "▃", "▄", "▅", "▆", "▇", "█"};
    std::uint64_t most = 1;
    for (const auto& span : spans) most = std::max<std::uint64_t>(most, value_of(span.counts));
    std::string text;
    for (const auto& span : spans) {
        const std::uint64_t value = value_of(span.counts);
        text += kBars[value == 0 ? 0 : 1 + value * 7 / most];
    }
    return text;
}

std::string course_text(const Facts& facts) {
    const auto spans = facts.tally.course.spans(kColumns);
    if (spans.empty()) return {};
    const auto all = [](const log::Counts& counts) {
        std::uint64_t sum = 0;
        for (const std::uint64_t count : counts) sum += count;
        return sum;
    };
    const auto bad = [](const log::Counts& counts) {
        return counts[log::kRefuse] + counts[log::kFail] + counts[log::kViolation];
    };
    const WallTime width = facts.tally.course.width(spans);
    std::string text = "\nover time, from " + time_text(spans.front().begin) + " to " +
                       time_text(spans.back().begin + width) + "\n  requests  |" + bars(spans, all) +
                       "|\n  not well  |" + bars(spans, bad) + "|\n";
    if (const auto count = facts.tally.course.left_out(spans); count != 0)
        text += "  " + grouped(count) + " requests far from these times are left out\n";
    return text;
}

std::string table(std::string_view head, const std::vector<Counted>& rows) {
    constexpr std::array kShown{log::kAllow, log::kRefuse, log::kFail, log::kViolation};
    std::string text = "\n" + padded(std::string(head), 34);
    for (const std::size_t verdict : kShown) text += right(std::string(kVerdicts[verdict]), 12);
    text += "\n";
    for (std::size_t at = 0; at < std::min(rows.size(), kMostRows); ++at) {
        text += "  " + padded(printable(rows[at].name, 64), 32);
        for (const std::size_t verdict : kShown)
            text += right(rows[at].counts[verdict] == 0 ? "-" : grouped(rows[at].counts[verdict]), 12);
        text += "\n";
    }
    if (rows.size() > kMostRows) text += "  and " + std::to_string(rows.size() - kMostRows) + " more\n";
    return text;
}

std::string denials_text(const Facts& facts) {
    const auto denials = denials_of(facts.tally);
    std::string text;
    for (std::size_t at = 0; at < std::min(denials.size(), kMostRows); ++at) {
        const log::Denial& one = denials[at];
        text += "  " + time_text(one.seen.last) + right(grouped(one.seen.all()), 9) + " x " +
                printable(one.what) + " " + printable(words_of_log(one.arguments), 512) + "\n      " +
                printable(log::unescaped(one.reason)) +
                (one.rule.empty() ? "" : ", rule " + compile::quoted(one.rule)) + "\n";
        if (const std::string line = explain_line(facts, one); !line.empty()) text += "      " + line + "\n";
    }
    const std::uint64_t more = facts.tally.other_denials;
    if (denials.size() > kMostRows) text += "  and " + std::to_string(denials.size() - kMostRows) + " more\n";
    if (more != 0) text += "  " + grouped(more) + " others were not kept in mind\n";
    return text.empty() ? "\nrefused: nothing\n" : "\nrefused, the latest first\n" + text;
}

std::string freezes_text(const Facts& facts) {
    const log::Tally& tally = facts.tally;
    if (tally.freeze_count == 0) return "\nfreezes: none\n";
    std::string text = "\nfreezes: " + grouped(tally.freeze_count) + ", the longest " +
                       duration_text(tally.longest_us) + ", together " + duration_text(tally.frozen_us) +
                       "\n";
    const std::size_t from = tally.freezes.size() - std::min(tally.freezes.size(), kMostRows);
    for (std::size_t at = from; at < tally.freezes.size(); ++at) {
        const log::Freeze& freeze = tally.freezes[at];
        const auto limit = limit_of(facts, freeze);
        text += "  " + time_text(freeze.begin) + "  " +
                right(freeze.length_us ? duration_text(*freeze.length_us) : "?", 12) +
                (limit ? " of " + duration_text(*limit) : "") + ", " + grouped(freeze.file_systems) +
                " file systems, " + end_text(freeze) + "\n";
    }
    return text;
}

std::string spent_text(const Facts& facts) {
    std::string text;
    for (const auto& [budget, count] : facts.tally.spent)
        text += "  " + grouped(count) + " x " + printable(budget) + "\n";
    return text.empty() ? text : "\nrefused because a budget was spent\n" + text;
}

std::string losses_text(const Facts& facts) {
    const log::Tally& tally = facts.tally;
    std::string text = "\nlost: " + (tally.lost == 0 ? "nothing" : grouped(tally.lost) + " records") + "\n";
    for (const auto& [what, count] : tally.unwritten)
        text += "  " + grouped(count) + " of " + printable(what) + " came too often to be written\n";
    return text;
}

std::string in_words(const Facts& facts) {
    const log::Tally& tally = facts.tally;
    const Sums sums = sums_of(tally);
    std::string text = std::to_string(facts.logs.sources().size()) + " files, " +
                       grouped(facts.reading.lines) + " lines, from " + time_text(tally.first) + " to " +
                       time_text(tally.last) + "\n";
    text += grouped(sums.all) + " requests, " + grouped(sums.verdicts[log::kRefuse]) + " refused, " +
            grouped(sums.verdicts[log::kFail]) + " failed; " + grouped(tally.starts) + " starts; policy " +
            (tally.last_policy.empty() ? "unknown" : printable(tally.last_policy)) + "\n";
    for (const log::ChainState& chain : tally.chains) text += state_text(facts, chain) + "\n";
    text += course_text(facts) + table("command", commands_of(tally)) + table("rule", rules_of(tally)) +
            denials_text(facts) + spent_text(facts) + freezes_text(facts);
    if (const std::string tried = dry_runs_in_words(tally); !tried.empty()) text += "\ndry runs\n" + tried;
    if (!facts.policy.empty()) {
        text += facts.unused.empty() ? "\nnever needed: nothing\n" : "\nnever needed\n";
        for (const std::string& part : facts.unused) text += "  " + part + "\n";
    }
    return text + losses_text(facts);
}

std::string json_of(const log::Counts& counts) {
    JsonObject object;
    for (std::size_t at = 0; at < kVerdicts.size(); ++at)
        if (counts[at] != 0) object.add(kVerdicts[at], counts[at]);
    return object.text();
}

std::string json_of(const std::vector<Counted>& rows) {
    std::vector<std::string> objects;
    for (const Counted& row : rows)
        objects.push_back(
            JsonObject().add("name", row.name).add_value("verdicts", json_of(row.counts)).text());
    return json_list(objects);
}

std::string denials_json(const Facts& facts) {
    std::vector<std::string> objects;
    for (const log::Denial& one : denials_of(facts.tally))
        objects.push_back(JsonObject()
                              .add("command", one.what)
                              .add("arguments", printable(words_of_log(one.arguments), 4096))
                              .add("rule", one.rule)
                              .add("reason", printable(log::unescaped(one.reason)))
                              .add("count", one.seen.all())
                              .add("last", analyse::show_time(one.seen.last))
                              .add("id", one.id)
                              .add("explain", explain_line(facts, one))
                              .text());
    return json_list(objects);
}

std::string freezes_json(const Facts& facts) {
    std::vector<std::string> objects;
    for (const log::Freeze& freeze : facts.tally.freezes) {
        JsonObject object;
        object.add("begin", analyse::show_time(freeze.begin)).add("file_systems", freeze.file_systems);
        if (freeze.length_us) object.add("length_us", *freeze.length_us);
        if (const auto limit = limit_of(facts, freeze)) object.add("limit_us", *limit);
        objects.push_back(object.add("end", freeze.end).text());
    }
    return json_list(objects);
}

std::string course_json(const Facts& facts) {
    std::vector<std::string> objects;
    for (const auto& span : facts.tally.course.spans(kColumns))
        objects.push_back(JsonObject()
                              .add("begin", analyse::show_time(span.begin))
                              .add_value("verdicts", json_of(span.counts))
                              .text());
    return json_list(objects);
}

std::string in_json(const Facts& facts) {
    const log::Tally& tally = facts.tally;
    std::vector<std::string> chains;
    for (const log::ChainState& chain : tally.chains)
        chains.push_back(JsonObject()
                             .add("holds", chain.breaks == 0)
                             .add("lines", chain.lines)
                             .add("from_beginning", chain.is_from_beginning)
                             .add("last", chain.last)
                             .add("text", state_text(facts, chain))
                             .text());
    JsonObject unwritten;
    for (const auto& [what, count] : tally.unwritten) unwritten.add(what, count);
    JsonObject spent;
    for (const auto& [budget, count] : tally.spent) spent.add(budget, count);
    return JsonObject()
               .add("lines", facts.reading.lines)
               .add("damaged", facts.reading.damaged + facts.reading.too_long)
               .add("from", analyse::show_time(tally.first))
               .add("to", analyse::show_time(tally.last))
               .add("policy", tally.last_policy)
               .add("starts", tally.starts)
               .add_value("chains", json_list(chains))
               .add_value("requests", json_of(sums_of(tally).verdicts))
               .add_value("course", course_json(facts))
               .add_value("commands", json_of(commands_of(tally)))
               .add_value("rules", json_of(rules_of(tally)))
               .add_value("refused", denials_json(facts))
               .add_value("budgets_spent", spent.text())
               .add("freezes", tally.freeze_count)
               .add("longest_freeze_us", tally.longest_us)
               .add_value("freeze_list", freezes_json(facts))
               .add_value("dry_runs", dry_runs_in_json(tally))
               .add_value("never_needed", json_strings(facts.unused))
               .add("lost", tally.lost)
               .add_value("unwritten", unwritten.text())
               .text() +
           "\n";
}

std::vector<Counted> sorted(std::vector<Counted> rows) {
    for (Counted& row : rows)
        for (const std::uint64_t count : row.counts) row.all += count;
    std::erase_if(rows, [](const Counted& row) { return row.all == 0; });
    std::ranges::stable_sort(rows, std::ranges::greater{}, &Counted::all);
    return rows;
}

std::string in_shell(const std::string& name) {
    const std::string text = printable(name, 4096);
    if (text.find_first_not_of("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_./:=+,@%") ==
        text.npos)
        return text;
    std::string all = "'";
    for (const char c : text) all += c == '\'' ? std::string("'\\''") : std::string(1, c);
    return all + "'";
}

int fail(const std::string& name, const Error& error) {
    complain(describe(name, error));
    return kFailure;
}

/// What of a policy the requests of a log need, if one is given.
class Needs {
public:
    explicit Needs(const Policy* policy) : policy_(policy) {
        if (policy == nullptr) return;
        replay_.emplace(*policy);
        is_used_.resize(replay_->parts().size());
        of_rule_.resize(policy->rules.size());
        for (std::size_t at = 0; at < is_used_.size(); ++at)
            of_rule_[replay_->parts()[at].rule].push_back(at);
    }
    void take(const log::Record& record) {
        if (!replay_) return;
        const log::Answer& answer = replay_->ask(record);
        if (answer.rule == kNoRule) return;
        for (const std::size_t at : of_rule_[answer.rule]) {
            const analyse::Part& part = replay_->parts()[at];
            const bool has_entry = part.subject != analyse::Subject::kPlain && answer.is_allowed();
            if (!has_entry || part.entry == answer.entry) is_used_[at] = true;
        }
    }
    [[nodiscard]] std::vector<std::string> unused() const {
        std::vector<std::string> names;
        for (std::size_t at = 0; at < is_used_.size(); ++at)
            if (!is_used_[at] && is_whole(*policy_, replay_->parts()[at]))
                names.push_back(part_name(*policy_, replay_->parts()[at]));
        return names;
    }

private:
    const Policy* policy_;
    std::optional<log::Replay> replay_;
    std::vector<bool> is_used_;
    std::vector<std::vector<std::size_t>> of_rule_;  // the places of its parts
};

}  // namespace

Sums sums_of(const log::Tally& tally) {
    Sums sums;
    for (const log::Counts& counts : tally.commands)
        for (std::size_t at = 0; at < counts.size(); ++at) {
            sums.verdicts[at] += counts[at];
            sums.all += counts[at];
        }
    return sums;
}

std::vector<Counted> commands_of(const log::Tally& tally) {
    std::vector<Counted> rows;
    for (const Command& command : kCommands)
        rows.push_back({.name = std::string(command.name),
                        .counts = tally.commands[static_cast<std::size_t>(command.id)]});
    return sorted(std::move(rows));
}

std::vector<Counted> rules_of(const log::Tally& tally) {
    std::vector<Counted> rows;
    for (const auto& [id, seen] : tally.rules) rows.push_back({.name = id, .counts = seen.counts});
    return sorted(std::move(rows));
}

std::vector<log::Denial> denials_of(const log::Tally& tally) {
    std::vector<log::Denial> denials;
    for (const auto& [key, denial] : tally.denials) denials.push_back(denial);
    std::ranges::stable_sort(denials, std::ranges::greater{},
                             [](const log::Denial& one) { return std::pair(one.seen.last, one.seen.all()); });
    return denials;
}

std::optional<std::uint64_t> limit_of(const Facts& facts, const log::Freeze& freeze) {
    const auto found = facts.limits_us.find(freeze.rule);
    return found == facts.limits_us.end() ? std::nullopt : std::optional(found->second);
}

std::string end_text(const log::Freeze& freeze) {
    return freeze.end.empty() ? "still frozen" : "ended by " + freeze.end;
}

std::string words_of_log(const std::string& arguments) {
    std::string text;
    for (const log::Member& member : log::members_of(arguments))
        text.append(text.empty() ? "" : " ")
            .append(log::unescaped(member.name))
            .append("=")
            .append(log::unescaped(member.value));
    return text;
}

std::string explain_line(const Facts& facts, const log::Denial& denial) {
    const std::string& file = facts.logs.sources()[denial.file].name;
    const std::string policy(facts.policy.empty() ? kDefaultPolicy : std::string_view(facts.policy));
    if (!find_command(denial.what) || file == kStandardInput) return {};
    return "sallyport-policy explain " + in_shell(policy) + " --denial " + in_shell(denial.id) + " --log " +
           in_shell(file);
}

std::string state_text(const Facts& facts, const log::ChainState& chain) {
    const auto& sources = facts.logs.sources();
    const auto& files = facts.logs.chains()[chain.chain];
    std::string text = "chain of " + printable(sources[files.back()].name, 4096) +
                       (files.size() > 1 ? " and " + std::to_string(files.size() - 1) + " more files" : "") +
                       ": ";
    if (chain.breaks != 0)
        return text + "BROKEN, first at " + printable(sources[chain.broken_file].name, 4096) + ":" +
               std::to_string(chain.broken_line) + ", " + grouped(chain.breaks) + " times";
    text += "holds over " + grouped(chain.lines) + " lines" +
            (chain.is_from_beginning ? " from its beginning" : "") + ", the last has the hash " +
            chain.last.substr(0, 16);
    return chain.cut == 0 ? text : text + "; " + grouped(chain.cut) + " lines were cut off";
}

std::string grouped(std::uint64_t number) {
    std::string text = std::to_string(number);
    for (std::size_t at = text.size(); at > 3;) text.insert(at -= 3, 1, ',');
    return text;
}

std::string duration_text(std::uint64_t us) {
    std::array<char, 48> text{};
    constexpr std::uint64_t kSecond = 1'000'000, kMinute = 60 * kSecond, kHour = 60 * kMinute;
    const std::uint64_t minutes = us % kHour / kMinute, seconds = us % kMinute / kSecond;
    if (us < kSecond)
        std::snprintf(text.data(), text.size(), "%ju ms", std::uintmax_t{us / 1000});
    else if (us < kMinute)
        std::snprintf(text.data(), text.size(), us % kSecond == 0 ? "%.0f s" : "%.1f s",
                      static_cast<double>(us) / 1e6);
    else if (us < kHour && seconds != 0)
        std::snprintf(text.data(), text.size(), "%ju min %ju s", std::uintmax_t{minutes},
                      std::uintmax_t{seconds});
    else if (us < kHour)
        std::snprintf(text.data(), text.size(), "%ju min", std::uintmax_t{minutes});
    else if (minutes != 0)
        std::snprintf(text.data(), text.size(), "%ju h %ju min", std::uintmax_t{us / kHour},
                      std::uintmax_t{minutes});
    else
        std::snprintf(text.data(), text.size(), "%ju h", std::uintmax_t{us / kHour});
    return text.data();
}

std::string time_text(WallTime time) {
    if (time == 0) return "-";
    std::string text = analyse::show_time(time).substr(0, 16);
    if (text.size() > 10) text[10] = ' ';
    return text;
}

int run_report(const ReportArguments& arguments) {
    UniqueFd page;
    if (!arguments.html.empty()) {
        auto file = open_to_write(arguments.html);
        if (!file) return fail(arguments.html, file.error());
        page = *std::move(file);
    }
    const std::string& path = arguments.log.policy;
    auto open = open_logs(arguments.log.logs, path.empty() ? std::vector<std::string>{} : std::vector{path});
    if (!open) return kFailure;
    const Policy* const policy = path.empty() ? nullptr : &open->files.policies[0].policy;
    Needs needs(policy);
    log::Tally tally;
    Facts facts{
        .tally = tally, .logs = open->logs, .reading = {}, .policy = path, .unused = {}, .limits_us = {}};
    facts.reading = open->logs.read(
        [&](const log::Record& record, const log::Place& place) {
            const bool counts = arguments.log.takes(record.time);
            tally.take(record, place, counts);
            if (counts) needs.take(record);
        },
        [&](const log::Place& place) { tally.take_damaged(place); });
    tally.finish();
    if (!tell_reading(facts.reading)) return kFailure;
    facts.unused = needs.unused();
    if (policy != nullptr)
        for (const Rule& rule : policy->rules)
            if (rule.freeze) facts.limits_us[rule.id] = std::uint64_t{rule.freeze->max_frozen_ms()} * 1000;
    if (!arguments.html.empty()) {
        const auto written = write_all(page, page_of(facts));
        if (!written) return fail(arguments.html, written.error());
    } else {
        print(arguments.log.as_json ? in_json(facts) : in_words(facts));
    }
    const bool is_broken =
        std::ranges::any_of(tally.chains, [](const auto& chain) { return chain.breaks != 0; });
    return is_broken ? kBroken : kSuccess;
}

}  // namespace sallyport::policy::cli
