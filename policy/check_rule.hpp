// What must hold between the commands of a rule and all else that it says.
// Runs in:  broker, before lockdown(); the policy tool
#pragma once

#include <string_view>

#include "base/result.hpp"
#include "policy/decide.hpp"

namespace sallyport::policy {

/// Whether `text` is the absolute path of a directory in normal form.
bool is_directory_name(std::string_view text);

/// Errors: kInvalid, naming what does not belong together.
Status check_rule(const Rule& rule);

}  // namespace sallyport::policy
