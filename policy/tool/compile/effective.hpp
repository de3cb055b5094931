// A compiled policy as a text that means the same: what was included stands in it, and nothing is left out that has a default.
// Runs in:  the policy tool, after lockdown_compiler()
#pragma once

#include <string>
#include <string_view>

#include "policy/tool/compile/compile.hpp"
#include "policy/tool/compile/passwd.hpp"

namespace sallyport::policy::compile {

/// Users that programs run as are named by `passwd`; each rule has its place in a comment.
std::string effective_text(const Compilation& compilation, const Passwd& passwd);

/// A string of TOML.
std::string toml_string(std::string_view text);

}  // namespace sallyport::policy::compile
