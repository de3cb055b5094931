// Finds allow rules between which only their order could decide.
#pragma once

#include <string>

#include "policy/policy.pb.h"
#include "policy/tool/compile/problems.hpp"

namespace sallyport::policy::compile {

/// Adds a problem for each pair of allow rules that let one command be carried out in different ways: freeze different file
/// systems, for different times or with different hooks, or end or suspend the guest by different methods.
void refuse_two_ways(const compiled::Compiled& policy, Problems& problems);

}  // namespace sallyport::policy::compile
