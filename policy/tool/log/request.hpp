// The request of a record: what the host asked for, as far as the log has it.
// Runs in:  the policy tool, after lockdown_compiler()
// Input:    values that a host has chosen
#pragma once

#include <expected>
#include <optional>
#include <span>
#include <string>

#include "policy/tool/analyse/request.hpp"
#include "policy/tool/log/record.hpp"

namespace sallyport::policy::log {

struct Asked {
    analyse::Request request;
    bool is_exact = true;  // nothing of it was left out of the log, but for the file that was found
};

/// Errors: a sentence: the record is about no command, or what it says is no request that a policy decides.
std::expected<Asked, std::string> asked_of(const Record& record);

/// The command of a record; nothing if it is about none.
std::optional<CommandId> command_of(const Record& record);

/// Whether the host was told no because of what the policy says of the words of the request: not because of the state of the
/// guest, or of the file that was found.
bool was_refused_by_rules(const Record& record);
/// The broker's reason where a budget of the rule is spent; the argument `budget` says which.
inline constexpr std::string_view kSpent = "the rule's budget is spent";
/// The broker's reasons by which that is known: of refusals that are not by the rules, and of opens that are.
std::span<const std::string_view> reasons_of_the_state();
std::span<const std::string_view> reasons_of_the_path();

}  // namespace sallyport::policy::log
