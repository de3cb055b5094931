// The decision about programs: which template covers what the host wants to have started, and what stands in its places.
// Runs in:  broker, and once more in the launcher, by its own copy of the templates; the policy tool
// Input:    words, environment and sizes of a host; in the launcher, orders of a broker that may have been taken over
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

/// What a host wants to have started.
struct ExecRequest {
    std::string_view program;
    ExecWords args;
    std::optional<ExecWords> env;      // NAME=value; absent is not empty
    std::optional<std::size_t> input;  // the size of it
};

/// What of a template a request does not meet, in the order in which it is looked at.
enum class ExecMiss : std::uint8_t { kProgram, kTime, kArgs, kEnv, kInput, kNothing };

/// A template's answer. `values`: what stands in its places, or all arguments if it takes any; they are the request's own bytes.
struct ExecMatch {
    ExecMiss miss = ExecMiss::kProgram;
    ExecWords values;
};

/// The templates of all live and later allow rules for guest-exec, each with its rule and the times in which it counts. None if an
/// option takes guest-exec away, or a deny rule does for ever.
ExecTemplates exec_templates(const Policy& policy);

/// Whether this one template covers the request.
///
/// THREAT: a word means more to the program than to the rule. Each is compared whole, a NUL is in none, and a place never takes a
/// word that begins with '-', unless the rule itself says so.
ExecMatch match_exec(const ipc::ExecTemplate& by, const ExecRequest& want, WallTime now);

struct ExecDecision {
    int at = -1;                         // the template; -1: none
    ExecMiss miss = ExecMiss::kProgram;  // the farthest that any of them came
    ExecWords values;
};
/// The first template that covers the request. The compiler sees to it that there is one at most.
ExecDecision decide_exec(const ExecTemplates& templates, const ExecRequest& want, WallTime now);

/// Whether the word may stand there.
bool accepts(const ipc::ExecWord& place, std::string_view word);

/// The arguments that a template and the values of its places make; nothing if there are too few or too many.
std::optional<ExecWords> fill_in(const ipc::ExecTemplate& by, const ExecWords& values);

/// What must hold of a template that the compiler wrote. Errors: kInvalid.
Status check_template(const ipc::ExecTemplate& from);

}  // namespace sallyport::policy
