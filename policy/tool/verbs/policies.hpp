// Policies, and other files of the admin's, for a verb that needs nothing else: everything is opened, then the process locks itself
// down, then it reads. What the verb goes on to do, it does in there.
// Runs in:  the policy tool
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "base/unique_fd.hpp"
#include "policy/decide.hpp"
#include "policy/policy.pb.h"
#include "policy/tool/analyse/coverage.hpp"
#include "policy/tool/analyse/never.hpp"
#include "policy/tool/verbs/fragment_files.hpp"

namespace sallyport::policy::cli {

/// A policy that was compiled.
struct Loaded {
    std::string name;
    std::string text;
    compiled::Compiled compiled;
    std::vector<analyse::Never> nevers;
    Policy policy;
    compiled::Fragments fragments = {};  // the files of its folders
};

struct Files {
    std::vector<Loaded> policies;
    std::vector<UniqueFd> others;
    std::string passwd;
    std::string group;
    UniqueFd zones;           // the directory of time zones, if there is one and there are policies
    bool has_colour = false;  // standard output is a terminal that takes it
};

/// Opens all of them, locks this process down, and compiles the policies. Complains and gives nothing if any of that fails.
std::optional<Files> read_confined(const std::vector<std::string>& policies,
                                   const std::vector<std::string>& others = {}, const Folders& folders = {});

/// Colours, or nothing where there are none.
struct Colours {
    const char* good = "";
    const char* bad = "";
    const char* dim = "";
    const char* end = "";
};
Colours colours(const Files& files);

/// The rule's name and place: "'export' (policy.toml:4)".
std::string rule_name(const Rule& rule);

/// The rule of a part, and which entry or key of it: "'max_size' of 'export' (policy.toml:4), files '/srv'".
std::string part_name(const Policy& policy, const analyse::Part& part);

/// Whether the part is a rule or an entry, of which something can be missed: the floor is answered without any.
bool is_whole(const Policy& policy, const analyse::Part& part);

/// As a digest is shown.
std::string hexadecimal(std::string_view bytes);

/// Why a request is answered as it is, in words.
std::string reason_of(const Policy& policy, Why why, std::size_t rule);

}  // namespace sallyport::policy::cli
