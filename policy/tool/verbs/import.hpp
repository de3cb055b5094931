// What a qemu-ga was left to do, as a policy.
// Runs in:  the policy tool, after lockdown_compiler()
#pragma once

#include <string>
#include <vector>

#include "policy/tool/verbs/service_options.hpp"

namespace sallyport::policy::cli {

struct Imported {
    std::string text;
    std::vector<std::string> notes;   // what the policy does not say, or not as qemu-ga's files did
    std::vector<std::string> unsafe;  // what could not be made safe, a rule each
};

/// A policy that allows what qemu-ga with these lists did. If it is strict, rules that are not safe stand in it as comments.
Imported imported_policy(const Options& options, bool is_strict);

}  // namespace sallyport::policy::cli
