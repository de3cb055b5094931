// Time zones, as the system's files (TZif, RFC 8536) describe them.
// Runs in:  the policy tool, after lockdown_compiler()
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace sallyport::policy::compile {

/// The bytes of a file below the system's directory of time zones; nothing if there is none.
using ReadZone = std::function<std::optional<std::string>(const std::string& name)>;

/// When the clocks of a zone are set, and how far they are ahead of UTC: before the first switch, then from each on.
struct Zone {
    std::vector<std::int64_t> switches;
    std::vector<std::int32_t> offsets{0};
};

/// The years from kWhenStart to kWhenEnd. What the file does not list follows the rule at its end. Nothing if it is no such file, or
/// counts leap seconds.
std::optional<Zone> parse_zone(std::string_view file);

/// Whether it can be a zone's name, and the name of a file below the directory.
bool is_zone_name(std::string_view name);

}  // namespace sallyport::policy::compile
