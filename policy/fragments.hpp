// The folders beside a policy, whose files are a part of it: the admin's own, and that of vendors, who may only deny and say never.
// Runs in:  starter; the policy tool
// Relies on: nothing: pure, no I/O
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

namespace sallyport::policy {

inline constexpr const char* kVendorFolder = "/usr/share/sallyport/policy.d";

/// What `apply` writes beside a policy until it is in force, and what it keeps of the one before, end like this. Each may have a folder.
inline constexpr const char* kNewEnding = ".new";
inline constexpr const char* kOldEnding = ".old";

/// Files that are read of one folder; and the names in it, whatever they are.
inline constexpr std::size_t kMaxFragments = 256;
inline constexpr std::size_t kMaxFolderNames = 4096;

/// /etc/sallyport/policy.d of /etc/sallyport/policy.toml.
std::string folder_of(std::string_view policy_path);

enum class FragmentName : std::uint8_t {
    kRead,
    kIgnored,  // it does not end in .toml, or is an editor's
    kOdd,      // it ends in .toml, and could not be shown as it is
};

/// THREAT: a file that denies something is left out because of its name, and nobody notices. So only what cannot be meant is ignored.
FragmentName judge_fragment_name(std::string_view name);

}  // namespace sallyport::policy
