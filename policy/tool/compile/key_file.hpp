// A qemu-ga configuration file: a GLib key file, of which the group [general] is used.
// Runs in:  the policy tool, after lockdown_compiler()
// Input:    the file's text
#pragma once

#include <expected>
#include <string>
#include <string_view>
#include <vector>

#include "policy/policy.pb.h"

namespace sallyport::policy::compile {

/// The keys of `text`. Unknown keys and groups are ignored, like in qemu-ga. A list that is given twice is an error, since GLib
/// would keep only the last. The texts of other errors are GLib's own.
std::expected<compiled::Options, std::string> read_key_file(std::string_view text);

/// What in a readable `text` has no effect or an old name, in a few words each.
std::vector<std::string> ignored_keys(std::string_view text);

/// The message when a configuration file cannot be used: qemu-ga's own.
std::string key_file_error(std::string_view path, std::string_view text);

}  // namespace sallyport::policy::compile
