// Compiles the policy's text.
// Runs in:  the policy tool, after lockdown_compiler()
// Input:    the admin's text
#pragma once

#include <expected>
#include <string>
#include <string_view>
#include <vector>

#include "policy/policy.pb.h"
#include "policy/tool/analyse/never.hpp"
#include "policy/tool/compile/zone.hpp"

namespace sallyport::policy::compile {

struct Source {
    std::string_view text;
    std::string_view name;                           // shown as the file's name
    std::string_view passwd;                         // the text of /etc/passwd
    std::string_view group = {};                     // the text of /etc/group
    ReadZone zones = nullptr;                        // without it, UTC is the only time zone
    const compiled::Fragments* fragments = nullptr;  // the files of its folders, in their order
};

/// What the agent reads, and what was proved of it.
struct Compilation {
    compiled::Compiled policy;
    std::vector<analyse::Never> nevers;
};

/// The same, with the never rules; the agent makes nothing of these.
std::expected<Compilation, std::string> compile_with_nevers(const Source& source);

/// The compiled policy, which policy::load() accepts, or all errors that were found, one per line.
std::expected<compiled::Compiled, std::string> compile_policy(const Source& source);

}  // namespace sallyport::policy::compile
