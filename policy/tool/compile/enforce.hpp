// A rule's `enforce`.
// Runs in:  the policy tool, after lockdown_compiler()
#pragma once

#include "policy/tool/compile/reader.hpp"

namespace sallyport::policy::compile {

/// False if the rule only dry-runs: it must say when that ends.
bool read_enforce(Reader& reader, const toml::table& rule);

}  // namespace sallyport::policy::compile
