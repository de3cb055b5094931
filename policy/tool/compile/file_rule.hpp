// The `files` of a rule.
// Runs in:  the policy tool, after lockdown_compiler()
#pragma once

#include <cstdint>
#include <vector>

#include "policy/policy.pb.h"
#include "policy/tool/compile/passwd.hpp"
#include "policy/tool/compile/reader.hpp"

namespace sallyport::policy::compile {

/// Reads `files` of `rule` into `to`, which already says whether it is an allow or a deny rule.
void read_files(Reader& reader, const Passwd& passwd, const toml::table& rule, compiled::Rule& to);

/// The users of a list of names and numbers, ascending.
std::vector<std::uint32_t> read_users(Reader& reader, const Passwd& passwd, const toml::table& table,
                                      std::string_view key);

}  // namespace sallyport::policy::compile
