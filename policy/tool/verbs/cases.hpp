// Requests and what is expected of them, as an admin keeps them beside a policy.
// Runs in:  the policy tool, after lockdown_compiler()
// Input:    the admin's text
#pragma once

#include <cstdint>
#include <expected>
#include <string>
#include <string_view>
#include <vector>

#include "policy/tool/analyse/decider.hpp"
#include "policy/tool/analyse/request.hpp"

namespace sallyport::policy::cli {

struct Case {
    analyse::Request request;
    bool is_allowed = false;
    std::string rule;  // that decides; empty: any
    std::uint32_t line = 0;
};

/// The cases of `text`, or every error found, one line each.
std::expected<std::vector<Case>, std::string> read_cases(std::string_view text, std::string_view name,
                                                         WallTime now);

/// A case as it is written: `line` and what is answered to it.
std::string case_text(const Policy& policy, const analyse::Outcome& outcome, std::string_view line);

}  // namespace sallyport::policy::cli
