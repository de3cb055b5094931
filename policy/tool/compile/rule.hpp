// Allow and deny rules.
// Runs in:  the policy tool, after lockdown_compiler()
#pragma once

#include <map>
#include <string>
#include <vector>

#include "policy/policy.pb.h"
#include "policy/tool/analyse/never.hpp"
#include "policy/tool/compile/passwd.hpp"
#include "policy/tool/compile/reader.hpp"
#include "policy/tool/compile/zone.hpp"

namespace sallyport::policy::compile {

/// Ids in use, and the place of the rule that has each.
using Ids = std::map<std::string, std::string, std::less<>>;

/// What is needed to read the rules of one text.
struct RuleContext {
    Reader& reader;
    const Passwd& passwd;
    const ReadZone& zones;
    Ids& ids;
    compiled::Compiled& to;
};

/// Reads `allow` and `deny` of `document`, in the order of the text.
void read_rules(RuleContext& context, const toml::table& document);

/// Reads `never` of `document`. The rules go to `context.to` as deny rules; what they say of programs, in the same order, to `nevers`.
void read_nevers(RuleContext& context, const toml::table& document, std::vector<analyse::Never>& nevers);

}  // namespace sallyport::policy::compile
