// Quantities in a policy: sizes, permission bits, times.
// Runs in:  the policy tool
#pragma once

#include <toml++/toml.h>

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace sallyport::policy::compile {

/// Bytes: "100B", "64KiB", "256MiB", "1GiB", "2TiB". Nothing if it does not have this form, is 0 or too large.
std::optional<std::uint64_t> parse_size(std::string_view text);

/// The same size in the largest unit of which it is a whole number.
std::string size_text(std::uint64_t size);

/// What a text that is not a size probably means: "256MiB" for "256MB", "256 mb" or "256m". Nothing if unclear.
std::optional<std::string> suggest_size(std::string_view text);

/// Milliseconds: "500ms", "60s", "5m", "1h". Nothing if it does not have this form, is 0 or too large.
std::optional<std::uint32_t> parse_duration_ms(std::string_view text);

/// Permission bits in octal: "0600". Three or four digits, at most 0777.
std::optional<std::uint32_t> parse_mode(std::string_view text);

/// Seconds since 1970, UTC. Nothing if the time has no offset from UTC or is before 1970.
std::optional<std::int64_t> to_unix_time(const toml::date_time& time);

}  // namespace sallyport::policy::compile
