#include "policy/tool/log/replay.hpp"

#include <algorithm>
#include <array>
#include <functional>

namespace sallyport::policy::log {

namespace {

using analyse::Subject;

constexpr std::size_t kMostKnown = 8192;
constexpr WallTime kSomeTime = 1'767'225'600;

// Features of requests that no log shows.
constexpr std::array<std::string_view, 13> kHidden{"kind",  "owner", "link",  "links", "setid",
                                                   "size",  "mount", "also",  "type",  "source",
                                                   "local", "shows", "member"};

/// The arguments by which a request is decided: without what only its answer has brought, which is another each time.
std::string_view deciding_arguments(CommandId command, const Record& record) {
    const Subject subject = analyse::subject_of(command);
    if (subject == Subject::kPlain || subject == Subject::kInspect || subject == Subject::kFreeze) return {};
    const std::string_view all = record.arguments;
    if (command == CommandId::kFileOpen) return all.substr(0, all.find(",\"handle\":"));
    return command == CommandId::kExec ? all.substr(0, all.find(",\"pid\":")) : all;
}

}  // namespace

Policy as_a_log_shows_it(const Policy& policy) {
    Policy shown = policy;
    for (const Command& command : kCommands)
        for (const analyse::Clause& clause : analyse::clauses_of(policy, command.id))
            for (const analyse::Feature& feature : analyse::features_of(analyse::subject_of(command.id)))
                if (std::ranges::find(kHidden, feature.name) != kHidden.end() && feature.limits != nullptr &&
                    clause.allows() && feature.limits(clause))
                    feature.loosen(shown.rules[clause.rule], clause.entry);
    return shown;
}

Replay::Replay(const Policy& policy, Parts parts)
    : policy_(as_a_log_shows_it(policy)),
      wants_parts_(parts),
      decider_(policy_),
      turning_(policy_),
      known_(kMostKnown) {
    for (std::size_t at = 0; at < policy_.rules.size(); ++at)
        if (policy_.rules[at].expires || policy_.rules[at].when) timed_.push_back(at);
}

// Times at which the same rules have expired, and the same have their hours, are alike. There are no more kinds of times than the policy has borders,
// whatever times a log has. Whatever else comes to depend on the time must come in here.
WallTime Replay::time_like(WallTime time) {
    std::vector<bool> counting;
    for (const std::size_t at : timed_) {
        const Rule& rule = policy_.rules[at];
        const auto counts = rule.effect == Effect::kAllow ? ipc::Counts::kToAllow : ipc::Counts::kToDeny;
        counting.push_back(!rule.expires || time < *rule.expires);
        counting.push_back(!rule.when || ipc::is_within(*rule.when, time, counts));
    }
    return moments_.try_emplace(std::move(counting), time).first->second;
}

const Answer& Replay::ask(const Record& record) {
    const auto command = command_of(record);
    was_new_ = false;
    if (!command) return nothing_;
    const WallTime time = timed_.empty() ? kSomeTime : time_like(seconds_of(record.time).value_or(0));
    key_.assign(record.what);
    if (!timed_.empty()) key_.append(" ").append(std::to_string(time));
    key_.append(record.is_shortened ? "?" : " ").append(deciding_arguments(*command, record));
    Known& known = known_[std::hash<std::string>()(key_) % known_.size()];
    if (known.key == key_) return known.answer;
    was_new_ = true;
    known.key = key_;
    decide(record, time, known.answer);
    return known.answer;
}

void Replay::decide(const Record& record, WallTime time, Answer& answer) {
    answer.is_decided = false;
    answer.parts.clear();
    auto asked = asked_of(record);
    if (!asked) return;
    answer.is_decided = true;
    answer.is_exact = asked->is_exact;
    request_ = std::move(asked->request);
    request_.time = time;
    const analyse::Outcome outcome = decider_.decide(request_);
    answer.why = outcome.why;
    answer.rule = outcome.rule;
    answer.entry = outcome.entry;
    if (wants_parts_ == Parts::kYes) answer.parts = turning_.of(request_, outcome);
}

}  // namespace sallyport::policy::log
