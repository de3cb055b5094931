// The files of which a policy consists, as one text that can be signed.
// Runs in:  the policy tool
#pragma once

#include <string>
#include <string_view>

#include "policy/policy.pb.h"

namespace sallyport::policy::cli {

/// The last part of a path.
std::string name_of(std::string_view path);

/// A line for the policy and each file of its own folder, as sha256sum prints it beside them: "DIGEST  x.toml", "DIGEST  x.d/10-a.toml".
std::string sums_of(const std::string& policy, std::string_view text, const compiled::Fragments& files);

}  // namespace sallyport::policy::cli
