// The shipped policies, built into the tool so that it needs no files for them inside its sandbox.
// Runs in:  the policy tool
#pragma once

#include <span>
#include <string_view>

namespace sallyport::policy::compile {

struct Profile {
    std::string_view name;
    std::string_view text;
};

/// Every file of policy/tool/profiles; the definition is generated from them.
std::span<const Profile> profiles();

}  // namespace sallyport::policy::compile
