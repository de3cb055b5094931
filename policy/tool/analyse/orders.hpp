// Requests about accounts and hardware as the agent gets them.
// Runs in:  the policy tool
#pragma once

#include <string>

#include "policy/accounts.hpp"
#include "policy/set.hpp"
#include "policy/tool/analyse/request.hpp"

namespace sallyport::policy::analyse {

/// For as long as the request is there. The secret is some secret: what it says is no matter of the policy.
AccountRequest account_request_of(const Request& request);

/// At the time of the request, by which the clock is right.
ipc::SetOrder set_order_of(const Request& request);
Clocks clocks_of(const Request& request);

/// What a rule lets the command set; null if it is none that sets anything, or the rule does not.
const ipc::SetRule* set_rule_of(const Rule& rule, CommandId command);

/// A line of authorized_keys. "ssh-ed25519" and "restrict ssh-ed25519", without the key itself, stand for a key of that type.
std::string key_line(const std::string& word);

}  // namespace sallyport::policy::analyse
