// The files of a policy's folders, as the agent would read them, but whoever they belong to: a policy is tried out on copies.
// Runs in:  the policy tool, before lockdown_compiler()
#pragma once

#include <optional>
#include <string>

#include "policy/fragments.hpp"
#include "policy/policy.pb.h"

namespace CLI {
class App;
}

namespace sallyport::policy::cli {

struct Folders {
    std::string own;                     // empty: the one beside the policy, if it is there
    std::string vendor = kVendorFolder;  // no error if it is not there
};

/// Complains and gives nothing if one cannot be read. Names that are not read cause a warning.
std::optional<compiled::Fragments> read_fragments(const std::string& policy_path, const Folders& folders);

/// What keeps the agent from starting with these files, since others can change them, in the starter's words: a warning each.
std::string warn_of_owners(const compiled::Fragments& files);

/// The options by which a verb is told of other folders.
void declare_folders(CLI::App& command, Folders& folders);

}  // namespace sallyport::policy::cli
