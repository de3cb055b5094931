// Checks that a rule's commands and its other parts fit together.
// Runs in:  starter; broker and files, before lockdown(); the policy tool
#pragma once

#include <string_view>

#include "base/result.hpp"
#include "policy/decide.hpp"

namespace sallyport::policy {

/// Whether `text` is the absolute path of a directory in normal form.
bool is_directory_name(std::string_view text);

/// Errors: kInvalid, naming the parts that do not fit.
Status check_rule(const Rule& rule);

}  // namespace sallyport::policy
