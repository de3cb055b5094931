// The decision about programs: which template covers what the host wants to start, and the values for its places.
// Runs in:  broker; the launcher, again and by its own copy of the templates; the policy tool
// Input:    words, environment and sizes from a host; in the launcher, orders of a broker that may have been taken over
// Relies on: nothing: pure, no I/O, no clock
#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "ipc/launcher.pb.h"
#include "policy/decide.hpp"

namespace sallyport::policy {

using ExecTemplates = google::protobuf::RepeatedPtrField<ipc::ExecTemplate>;
using ExecWords = std::vector<std::string_view>;

/// What a host wants to start.
struct ExecRequest {
    std::string_view program;
    ExecWords args;
    std::optional<ExecWords> env;      // NAME=value; absent differs from empty
    std::optional<std::size_t> input;  // its size
};

/// The first part of a template that a request does not match, in the order of checking.
enum class ExecMiss : std::uint8_t { kProgram, kTime, kArgs, kEnv, kInput, kNothing };

/// The result for one template. `values`: what is in its places, or all arguments if it allows any; these are the request's own
/// bytes.
struct ExecMatch {
    ExecMiss miss = ExecMiss::kProgram;
    ExecWords values;
};

/// The templates of all current and later allow rules for guest-exec, each with its rule and the time in which it applies. None
/// if an option takes guest-exec away, or a deny rule does for ever.
ExecTemplates exec_templates(const Policy& policy);

/// Whether this template covers the request.
///
/// THREAT: a word means more to the program than to the rule. Each word is compared as a whole, none contains a NUL, and a place
/// accepts no word that begins with '-' unless the rule itself says so.
ExecMatch match_exec(const ipc::ExecTemplate& by, const ExecRequest& want, Moment now);

struct ExecDecision {
    int at = -1;                         // index of the template; -1: none
    ExecMiss miss = ExecMiss::kProgram;  // of the template that matched furthest
    ExecWords values;
};
/// The first template that covers the request. The compiler makes sure that there is at most one.
ExecDecision decide_exec(const ExecTemplates& templates, const ExecRequest& want, Moment now);

/// Whether the place accepts the word.
bool accepts(const ipc::ExecWord& place, std::string_view word);

/// The arguments made of a template and the values for its places; nothing if there are too few or too many.
std::optional<ExecWords> fill_in(const ipc::ExecTemplate& by, const ExecWords& values);

/// Checks a template that the compiler wrote. Errors: kInvalid.
Status check_template(const ipc::ExecTemplate& from);

}  // namespace sallyport::policy
