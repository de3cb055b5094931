#include "policy/tool/log/replay.hpp"

#include <algorithm>
#include <array>
#include <utility>

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

Replay::Replay(const Policy& policy, Parts parts, Sayable can_be_said)
    : policy_(as_a_log_shows_it(policy)),
      wants_parts_(parts),
      can_be_said_(std::move(can_be_said)),
      decider_(policy_),
      turning_(policy_),
      known_(kMostKnown) {
    for (std::size_t at = 0; at < policy_.rules.size(); ++at)
        if (policy_.rules[at].expires || policy_.rules[at].when) timed_.push_back(at);
}

// Two times are alike if the same rules count. Whatever else comes to depend on the time must come in here.
void Replay::add_live(WallTime time) {
    for (const std::size_t at : timed_) key_ += is_live(policy_.rules[at], time) ? '1' : '0';
}

const Answer& Replay::ask(const Record& record) {
    const auto command = command_of(record);
    was_new_ = false;
    if (!command) return nothing_;
    const WallTime time = timed_.empty() ? kSomeTime : seconds_of(record.time).value_or(0);
    key_.assign(record.what).append(" ");
    add_live(time);
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
    answer.can_be_said = !can_be_said_ || can_be_said_(request_);
    const analyse::Outcome outcome = decider_.decide(request_);
    answer.why = outcome.why;
    answer.rule = outcome.rule;
    answer.entry = outcome.entry;
    if (wants_parts_ == Parts::kYes) answer.parts = turning_.of(request_, outcome);
}

}  // namespace sallyport::policy::log
