// unused: what of a policy no request of a log has needed, and for how long.
#include <algorithm>
#include <ctime>
#include <string>
#include <vector>

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

constexpr int kSomeUnused = 3;

/// How often requests turned on a part of the policy, and when one did last.
struct Use {
    std::uint64_t count = 0;
    WallTime last = 0;
};

class Usage {
public:
    explicit Usage(const Policy& policy)
        : policy_(policy), replay_(policy, log::Replay::Parts::kYes), uses_(replay_.parts().size()) {}

    void take(const log::Record& record) {
        const WallTime time = log::seconds_of(record.time).value_or(0);
        if (time != 0) {
            first_ = first_ == 0 ? time : std::min(first_, time);
            last_ = std::max(last_, time);
        }
        for (const std::size_t part : replay_.ask(record).parts) {
            ++uses_[part].count;
            uses_[part].last = std::max(uses_[part].last, time);
        }
    }

    /// Rules and entries that decided nothing.
    [[nodiscard]] std::vector<std::size_t> unused() const {
        return places([&](std::size_t at) { return uses_[at].count == 0 && is_rule(at); });
    }

    [[nodiscard]] std::string in_words(const std::vector<const Rule*>& idle_dry_runs) const {
        const std::string period = "from " + analyse::show_time(first_) + " to " + analyse::show_time(last_);
        std::string text = period + "\nnever used\n" + list(unused());
        const auto used = places([&](std::size_t at) { return uses_[at].count != 0 && is_rule(at); });
        text += "used, with the last time\n" + list(used);
        const auto idle = places(
            [&](std::size_t at) { return uses_[at].count == 0 && replay_.parts()[at].feature != nullptr; });
        text += "limits by which alone no request was refused\n" + list(idle);
        if (!idle_dry_runs.empty()) text += "dry runs that would have changed nothing\n";
        for (const Rule* rule : idle_dry_runs) text += "  " + rule_name(*rule) + "\n";
        return text;
    }

    [[nodiscard]] std::string in_json(const std::vector<const Rule*>& idle_dry_runs) const {
        std::vector<std::string> parts;
        for (std::size_t at = 0; at < uses_.size(); ++at) {
            const analyse::Part& part = replay_.parts()[at];
            JsonObject object;
            object.add("rule", policy_.rules[part.rule].id).add("where", policy_.rules[part.rule].where);
            if (part.subject != analyse::Subject::kPlain) object.add("entry", std::uint64_t{part.entry});
            if (part.feature != nullptr) object.add("key", part.feature->key);
            object.add("count", uses_[at].count);
            if (uses_[at].last != 0) object.add("last", analyse::show_time(uses_[at].last));
            parts.push_back(object.text());
        }
        std::vector<std::string> trials;
        for (const Rule* rule : idle_dry_runs)
            trials.push_back(JsonObject().add("rule", rule->id).add("where", rule->where).text());
        return JsonObject()
                   .add("from", analyse::show_time(first_))
                   .add("to", analyse::show_time(last_))
                   .add("unused", std::uint64_t{unused().size()})
                   .add_value("parts", json_list(parts))
                   .add_value("idle_dry_runs", json_list(trials))
                   .text() +
               "\n";
    }

private:
    [[nodiscard]] bool is_rule(std::size_t at) const { return is_whole(policy_, replay_.parts()[at]); }

    [[nodiscard]] std::vector<std::size_t> places(const auto& is_one) const {
        std::vector<std::size_t> found;
        for (std::size_t at = 0; at < uses_.size(); ++at)
            if (is_one(at)) found.push_back(at);
        return found;
    }

    [[nodiscard]] std::string list(const std::vector<std::size_t>& of) const {
        std::string text;
        for (const std::size_t at : of) {
            text += "  " + part_name(policy_, replay_.parts()[at]);
            if (uses_[at].count != 0)
                text += ": " + std::to_string(uses_[at].count) + " times, last " +
                        analyse::show_time(uses_[at].last);
            text += "\n";
        }
        return text.empty() ? "  none\n" : text;
    }

    const Policy& policy_;
    log::Replay replay_;
    std::vector<Use> uses_;
    WallTime first_ = 0;
    WallTime last_ = 0;
};

}  // namespace

int run_unused(const LogArguments& arguments) {
    auto open = open_logs(arguments.logs, {arguments.policy});
    if (!open) return kFailure;
    const Policy& policy = open->files.policies[0].policy;
    Usage usage(policy);
    log::Tally tally;
    const auto reading = open->logs.read([&](const log::Record& record, const log::Place& place) {
        if (!arguments.takes(record.time)) return;
        usage.take(record);
        if (!record.would.empty()) tally.take(record, place);
    });
    if (!tell_reading(reading)) return kFailure;
    const auto idle = idle_dry_runs(policy, tally);
    print(arguments.as_json ? usage.in_json(idle) : usage.in_words(idle));
    return usage.unused().empty() ? kSuccess : kSomeUnused;
}

}  // namespace sallyport::policy::cli
