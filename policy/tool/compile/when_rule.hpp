// A rule's hours: `when = { days = "mon-fri", hours = "22:00-05:00", tz = "Europe/Berlin" }`.
// Runs in:  the policy tool, after lockdown_compiler()
#pragma once

#include "policy/policy.pb.h"
#include "policy/tool/compile/reader.hpp"
#include "policy/tool/compile/zone.hpp"

namespace sallyport::policy::compile {

/// Reads `when` of a rule. The zone becomes a table of what its clocks do, so that nobody has to read its file later.
void read_when(Reader& reader, const ReadZone& zones, const toml::table& rule, compiled::Rule& to);

}  // namespace sallyport::policy::compile
