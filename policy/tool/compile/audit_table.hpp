// The [audit] table: how large the log may grow, and what happens when it cannot be written.
// Runs in:  the policy tool, after lockdown_compiler()
#pragma once

#include "policy/policy.pb.h"
#include "policy/tool/compile/reader.hpp"

namespace sallyport::policy::compile {

/// Reads the table of `document` into `to`; errors become problems of the reader.
void read_audit(Reader& reader, const toml::table& document, compiled::Audit& to);

}  // namespace sallyport::policy::compile
