// What a rule says of users, their passwords and their keys.
// Runs in:  the policy tool, after lockdown_compiler()
#pragma once

#include <vector>

#include "policy/policy.pb.h"
#include "policy/tool/compile/passwd.hpp"
#include "policy/tool/compile/reader.hpp"

namespace sallyport::policy::compile {

/// Reads 'users', 'crypted', 'key_types', 'max_keys', 'reset' and 'require'. After the rule's commands.
void read_accounts(Reader& reader, const Passwd& passwd, const toml::table& rule, compiled::Rule& to);

/// The users that 'users' of a never rule names.
std::vector<ipc::Account> read_never_users(Reader& reader, const Passwd& passwd, const toml::table& rule);

}  // namespace sallyport::policy::compile
