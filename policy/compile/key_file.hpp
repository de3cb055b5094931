// A qemu-ga configuration file: a GLib key file of which the group [general] counts.
// Runs in:  the policy tool, after lockdown_compiler()
// Input:    the file's text
#pragma once

#include <expected>
#include <string>
#include <string_view>

#include "policy/policy.pb.h"

namespace sallyport::policy::compile {

/// The keys that `text` has; keys and groups nobody knows are ignored, as qemu-ga does.
/// The error is GLib's own text.
std::expected<compiled::Options, std::string> read_key_file(std::string_view text);

/// What is said when a configuration file cannot be used: qemu-ga's own line.
std::string key_file_error(std::string_view path, std::string_view text);

}  // namespace sallyport::policy::compile
