// The decisions of a log, made again by some policy.
// Runs in:  the policy tool, after lockdown_compiler()
// Input:    a log that anybody may have changed, with values that a host has chosen
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "policy/tool/analyse/coverage.hpp"
#include "policy/tool/analyse/decider.hpp"
#include "policy/tool/log/request.hpp"

namespace sallyport::policy::log {

struct Answer {
    bool is_decided = false;  // false: the record is about nothing that a policy decides
    bool is_exact = false;    // the log has all of the request
    Why why = Why::kNoRuleMatches;
    bool can_be_said = true;  // by Replay's Sayable
    std::size_t rule = kNoRule;
    std::size_t entry = 0;
    std::vector<std::size_t>
        parts;  // places in Replay::parts() that the request turns on, if they are wanted
    [[nodiscard]] bool is_allowed() const { return why == Why::kAllowed; }
};

/// The policy without what a log does not show: which file was found, what of a reply was shown, what was frozen. So of a record
/// that could be allowed, depending on that, the answer is yes.
Policy as_a_log_shows_it(const Policy& policy);

class Replay {
public:
    enum class Parts : std::uint8_t { kNo, kYes };
    /// Whether a rule can be written that is about this request.
    using Sayable = std::function<bool(const analyse::Request&)>;
    explicit Replay(const Policy& policy, Parts parts = Parts::kNo, Sayable can_be_said = nullptr);

    /// Valid until the next call. A request that was asked before is not decided again: logs repeat themselves.
    const Answer& ask(const Record& record);
    /// Whether the last one was not known.
    [[nodiscard]] bool was_new() const { return was_new_; }
    /// The request that was decided last, which is that of the last record if that was not known.
    [[nodiscard]] const analyse::Request& request() const { return request_; }

    /// Rules have the same places as in the policy that it was made of.
    [[nodiscard]] const std::vector<analyse::Part>& parts() const { return turning_.parts(); }

private:
    void add_live(WallTime time);
    void decide(const Record& record, WallTime time, Answer& answer);

    Policy policy_;
    Parts wants_parts_;
    Sayable can_be_said_;
    bool was_new_ = false;
    analyse::Request request_;
    analyse::Decider decider_;
    analyse::Turning turning_;
    std::vector<std::size_t> timed_;  // rules that count at some times only
    /// A request that was decided, and how. Each has one place; another one that has the same drives it out.
    struct Known {
        std::string key;
        Answer answer;
    };
    std::vector<Known> known_;
    Answer nothing_;
    std::string key_;
};

}  // namespace sallyport::policy::log
