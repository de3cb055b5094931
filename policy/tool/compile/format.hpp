// The one way in which a policy's text is laid out.
// Runs in:  the policy tool, after lockdown_compiler()
// Input:    the admin's text
#pragma once

#include <expected>
#include <string>
#include <string_view>

namespace sallyport::policy::compile {

/// `text` with blanks and blank lines where they belong; comments, order and line breaks in lists stay. It says the same as before, or
/// there is an error: NAME:LINE:COLUMN: error: TEXT.
std::expected<std::string, std::string> format(std::string_view text, std::string_view name);

}  // namespace sallyport::policy::compile
