// The decisions of a log, made again by some policy.
// Runs in:  the policy tool, after lockdown_compiler()
// Input:    a log that anybody may have changed, with values that a host has chosen
#pragma once

#include <cstddef>
#include <string>
#include <unordered_map>
#include <vector>

#include "policy/tool/analyse/coverage.hpp"
#include "policy/tool/analyse/decider.hpp"
#include "policy/tool/log/request.hpp"

namespace sallyport::policy::log {

struct Answer {
    bool is_decided = false;  // false: the record is about nothing that a policy decides
    bool is_exact = false;    // the log has all of the request
    analyse::Request request;
    analyse::Outcome outcome;
    std::vector<std::size_t> parts;  // places in Replay::parts() that the request turns on
};

/// The policy without what a log does not show: which file was found, what of a reply was shown, what was frozen. So of a record
/// that could be allowed, depending on that, the answer is yes.
Policy as_a_log_shows_it(const Policy& policy);

class Replay {
public:
    explicit Replay(const Policy& policy);

    /// Valid until the next call. A request that was asked before is not decided again: logs repeat themselves.
    const Answer& ask(const Record& record);

    /// Rules have the same places as in the policy that it was made of.
    [[nodiscard]] const std::vector<analyse::Part>& parts() const { return turning_.parts(); }

private:
    [[nodiscard]] WallTime time_like(WallTime time) const;
    Answer answer(const Record& record, WallTime time);

    Policy policy_;
    analyse::Decider decider_;
    analyse::Turning turning_;
    std::vector<WallTime> ends_;  // when rules expire, ascending
    std::unordered_map<std::string, Answer> known_;
    Answer nothing_;
    std::string key_;
};

}  // namespace sallyport::policy::log
