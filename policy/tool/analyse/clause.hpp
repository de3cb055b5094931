// A policy as clauses: each is one way in which a rule can match a request for one command.
// Runs in:  the policy tool
#pragma once

#include <cstddef>
#include <vector>

#include "policy/decide.hpp"
#include "policy/tool/analyse/request.hpp"

namespace sallyport::policy::analyse {

/// A rule, or one entry of its `files` or `exec`.
struct Clause {
    std::size_t side = 0;  // of several policies, which
    std::size_t rule = kNoRule;
    std::size_t entry = 0;
    const Rule* of = nullptr;
    const FileRule* file = nullptr;
    const ipc::ExecTemplate* exec = nullptr;
    const ipc::AccountTemplate* account = nullptr;
    const ipc::SetRule* set = nullptr;  // that is about the command
    CommandId command = CommandId::kPing;
    std::uint64_t limits = 0;  // a bit for each feature that it does not take as it comes
    [[nodiscard]] bool allows() const { return of->effect == Effect::kAllow; }
};

/// What of a policy is about `command`, in the order of its rules.
std::vector<Clause> clauses_of(const Policy& policy, CommandId command, std::size_t side = 0);

}  // namespace sallyport::policy::analyse
