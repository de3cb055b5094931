// What must not be possible by any rule of a policy: proved, or broken by a request that shows it.
// Runs in:  the policy tool
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "policy/decide.hpp"
#include "policy/tool/analyse/request.hpp"

namespace sallyport::policy::analyse {

/// A `[[never]]`: what a deny rule can be about, programs by their name or by whom they would run as, and users.
struct Never {
    Rule rule;                          // a deny rule by its form
    std::vector<std::string> programs;  // empty: all
    std::vector<std::uint32_t> run_as;  // empty: any user
    std::vector<ipc::Account> users;    // whose password or keys; empty: anybody's
};

/// A never, and a request that a rule allows in spite of it.
struct Breach {
    std::size_t never = 0;
    std::size_t rule = kNoRule;
    Request request;
};

/// The first breach of each, at whatever time: what has expired may come back with a clock that is set back.
std::vector<Breach> breaches(const Policy& policy, const std::vector<Never>& nevers);

}  // namespace sallyport::policy::analyse
