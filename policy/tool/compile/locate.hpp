// Where in a policy's text a rule says something.
// Runs in:  the policy tool, after lockdown_compiler()
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "policy/policy.pb.h"
#include "policy/tool/compile/problems.hpp"

namespace sallyport::policy::compile {

/// What of a rule is looked for: `key` of the table at `table` (`files`, `exec`, `freeze`, `reply`), of its entry `entry` if that is a
/// list; of the rule itself if `table` is empty.
struct Spot {
    std::uint32_t rule_line = 0;
    std::string_view table;
    std::size_t entry = 0;
    std::string_view key;
};

/// The key's place; if it is left out, that of the innermost table that is there. `text` was compiled without a problem.
Place locate(std::string_view text, const Spot& spot);

/// The line of the rule, of a place as it stands in compiled rules: FILE:LINE. 0 if there is none.
std::uint32_t line_in(std::string_view where);

/// The text of which a rule comes: of the shipped profile or the file of a folder that `where` names, or the policy's own.
std::string_view source_of(std::string_view where, std::string_view text,
                           const compiled::Fragments& fragments = {});

/// The line at the place with a caret below, both behind `indent`.
std::string under_caret(std::string_view text, Place place, std::string_view indent);

}  // namespace sallyport::policy::compile
