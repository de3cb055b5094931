// A qemu-ga configuration file: a GLib key file of which the group [general] counts.
// Runs in:  the policy tool, after lockdown_compiler()
// Input:    the file's text
#pragma once

#include <expected>
#include <string>
#include <string_view>
#include <vector>

#include "policy/policy.pb.h"

namespace sallyport::policy::compile {

/// The keys that `text` has; keys and groups nobody knows are passed over, as qemu-ga does. A list that is given twice is an error,
/// since GLib knows the last only. Any other error is GLib's own text.
std::expected<compiled::Options, std::string> read_key_file(std::string_view text);

/// What of `text`, which can be read, has no effect or an old name, in a few words each.
std::vector<std::string> ignored_keys(std::string_view text);

/// What is said when a configuration file cannot be used: qemu-ga's own line.
std::string key_file_error(std::string_view path, std::string_view text);

}  // namespace sallyport::policy::compile
