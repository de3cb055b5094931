// metrics: what a log says on the whole, in the text format that node_exporter's textfile collector takes.
#include <algorithm>
#include <array>
#include <cstdio>
#include <map>
#include <string>
#include <utility>

#include "policy/tool/log/tally.hpp"
#include "policy/tool/verbs/files.hpp"
#include "policy/tool/verbs/json.hpp"
#include "policy/tool/verbs/logs.hpp"
#include "policy/tool/verbs/verb.hpp"

namespace sallyport::policy::cli {

namespace {

using log::kVerdicts;
using log::Tally;

/// A metric with its samples. In JSON it is a list of objects, one for each sample.
class Metric {
public:
    Metric(std::string_view name, const char* type, const char* help)
        : name_("sallyport_" + std::string(name)),
          head_("# HELP " + name_ + " " + help + "\n# TYPE " + name_ + " " + type + "\n") {}

    /// `labels`: names, each followed by its value.
    void add(const std::vector<std::string>& labels, const std::string& value) {
        std::string text;
        JsonObject object;
        for (std::size_t at = 0; at + 1 < labels.size(); at += 2) {
            text.append(text.empty() ? "{" : ",").append(labels[at]).append("=\"");
            text.append(escaped(labels[at + 1])).append("\"");
            object.add(labels[at], labels[at + 1]);
        }
        samples_.append(name_).append(text).append(text.empty() ? " " : "} ").append(value).append("\n");
        objects_.push_back(object.add_value("value", value).text());
    }
    void add(const std::vector<std::string>& labels, std::uint64_t value) {
        add(labels, std::to_string(value));
    }

    [[nodiscard]] std::string text() const { return samples_.empty() ? "" : head_ + samples_; }
    void add_to(JsonObject& object) const { object.add_value(name_, json_list(objects_)); }

private:
    static std::string escaped(std::string_view value) {
        std::string text;
        for (const char c : value) {
            if (c == '\\' || c == '"') text += '\\';
            text += c == '\n' ? std::string("\\n") : std::string(1, c);
        }
        return text;
    }

    std::string name_;
    std::string head_;
    std::string samples_;
    std::vector<std::string> objects_;
};

std::string seconds(std::uint64_t microseconds) {
    std::array<char, 32> text{};
    std::snprintf(text.data(), text.size(), "%.6f", static_cast<double>(microseconds) / 1e6);
    return text.data();
}

// A log can be changed by anybody who may write it; a name that is no plain word is none of the agent's.
std::string plain(const std::string& name) {
    const bool is_plain =
        !name.empty() &&
        name.find_first_not_of("abcdefghijklmnopqrstuvwxyz0123456789-_.ABCDEFGHIJKLMNOPQRSTUVWXYZ") ==
            name.npos;
    return is_plain ? name : "other";
}

Metric requests_of(const Tally& tally) {
    Metric metric("requests_total", "counter", "Requests of hosts, by command and verdict.");
    for (const Command& row : kCommands)
        for (std::size_t verdict = 0; verdict < kVerdicts.size(); ++verdict)
            if (const auto count = tally.commands[static_cast<std::size_t>(row.id)][verdict]; count != 0)
                metric.add({"command", std::string(row.name), "verdict", std::string(kVerdicts[verdict])},
                           count);
    return metric;
}

Metric events_of(const Tally& tally) {
    Metric metric("events_total", "counter", "What the log has besides requests.");
    std::map<std::string, std::uint64_t> sums;
    for (const auto& [what, counts] : tally.events)
        for (const std::uint64_t count : counts) sums[plain(what)] += count;
    for (const auto& [what, count] : sums) metric.add({"event", what}, count);
    return metric;
}

Metric unwritten_of(const Tally& tally) {
    Metric metric("unwritten_total", "counter",
                  "Requests and events beyond their rate, which have no line of their own.");
    std::map<std::string, std::uint64_t> sums;
    for (const auto& [what, count] : tally.unwritten) sums[plain(what)] += count;
    for (const auto& [what, count] : sums) metric.add({"what", what}, count);
    return metric;
}

Metric spent_of(const Tally& tally) {
    Metric metric("budget_refused_total", "counter",
                  "Requests that were refused because a rule's budget was spent.");
    std::map<std::pair<std::string, std::string>, std::uint64_t> sums;
    for (const auto& [budget, count] : tally.spent) {
        constexpr std::string_view kOf = " of ";
        const std::size_t at = std::min(budget.find(kOf), budget.size() - kOf.size());
        sums[{plain(budget.substr(at + kOf.size())), plain(budget.substr(0, at))}] += count;
    }
    for (const auto& [budget, count] : sums)
        metric.add({"rule", budget.first, "budget", budget.second}, count);
    return metric;
}

Metric dry_runs_of(const Tally& tally) {
    Metric metric("dry_run_total", "counter", "Requests that a rule that dry-runs would decide otherwise.");
    for (const auto& [id, tried] : tally.tried) {
        if (tried.allowed != 0) metric.add({"rule", plain(id), "would", "allow"}, tried.allowed);
        if (tried.refused != 0) metric.add({"rule", plain(id), "would", "refuse"}, tried.refused);
    }
    return metric;
}

Metric one(std::string_view name, const char* type, const char* help, const std::string& value) {
    Metric metric(name, type, help);
    metric.add({}, value);
    return metric;
}

std::vector<Metric> metrics_of(const Tally& tally, const log::Reading& reading) {
    std::uint64_t breaks = 0;
    for (const log::ChainState& chain : tally.chains) breaks += chain.breaks;
    const auto number = [](std::uint64_t value) { return std::to_string(value); };
    std::vector<Metric> all{requests_of(tally), events_of(tally), unwritten_of(tally)};
    if (!tally.spent.empty()) all.push_back(spent_of(tally));
    if (!tally.tried.empty()) all.push_back(dry_runs_of(tally));
    all.push_back(
        one("lost_records_total", "counter", "Records for which there was no room.", number(tally.lost)));
    all.push_back(one("frozen", "gauge", "Logs at whose end file systems are frozen.", number(tally.frozen)));
    all.push_back(
        one("freezes_total", "counter", "Freezes that froze something.", number(tally.freeze_count)));
    all.push_back(one("frozen_seconds_total", "counter", "How long file systems were frozen.",
                      seconds(tally.frozen_us)));
    all.push_back(one("longest_freeze_seconds", "gauge", "The longest freeze.", seconds(tally.longest_us)));
    all.push_back(one("transferred_bytes_total", "counter", "Bytes that hosts have read and written.",
                      number(tally.bytes)));
    all.push_back(one("starts_total", "counter", "Starts of the agent.", number(tally.starts)));
    all.push_back(one("log_lines_total", "counter", "Lines of the logs.", number(reading.lines)));
    all.push_back(one("log_damaged_lines_total", "counter", "Lines that are no records.",
                      number(reading.damaged + reading.too_long)));
    all.push_back(
        one("log_chain_breaks", "gauge", "Lines that do not follow the line before them.", number(breaks)));
    if (tally.last != 0)
        all.push_back(one("last_record_timestamp_seconds", "gauge", "The time of the latest record.",
                          number(static_cast<std::uint64_t>(tally.last))));
    if (!tally.last_policy.empty()) {
        Metric& policy = all.emplace_back("policy_info", "gauge",
                                          "The policy of the last record, by the beginning of its digest.");
        policy.add({"digest", plain(tally.last_policy)}, 1);
    }
    return all;
}

}  // namespace

int run_metrics(const LogArguments& arguments) {
    auto open = open_logs(arguments.logs);
    if (!open) return kFailure;
    Tally tally;
    const auto reading = open->logs.read(
        [&](const log::Record& record, const log::Place& place) {
            tally.take(record, place, arguments.takes(record.time));
        },
        [&](const log::Place& place) { tally.take_damaged(place); });
    tally.finish();
    if (!tell_reading(reading)) return kFailure;
    std::string text;
    JsonObject object;
    for (const Metric& metric : metrics_of(tally, reading)) {
        text += metric.text();
        metric.add_to(object);
    }
    print(arguments.as_json ? object.text() + "\n" : text);
    return kSuccess;
}

}  // namespace sallyport::policy::cli
