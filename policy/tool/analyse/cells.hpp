// The cells of one or more policies: requests of one cell are all decided alike.
// Runs in:  the policy tool
//
// A decision looks at finitely many features of a request. Each is split into the classes that the clauses still in question tell
// apart, one feature after the other; the rest of a feature is never split where it settles nothing. So the cells are few, every
// request lies in one of them, and one request out of each says what holds for all.
#pragma once

#include <functional>
#include <vector>

#include "policy/tool/analyse/clause.hpp"
#include "policy/tool/analyse/feature.hpp"
#include "policy/tool/analyse/request.hpp"

namespace sallyport::policy::analyse {

/// How far cells are split: until the verdicts and their terms are settled, or until it is for each clause whether it matches.
enum class Until : std::uint8_t { kVerdicts, kClauses };

struct Question {
    std::vector<const Policy*> policies;
    Request from;  // where cells differ in nothing that matters; nothing before its time is looked at
    Until until = Until::kVerdicts;
    std::size_t matched = SIZE_MAX;  // of this policy it is settled for each clause whether it matches
    std::vector<std::string_view> fixed = {};  // names of features that stay as `from` has them
    /// Cells in which these clauses alone are left are passed over if it says no.
    std::function<bool(const Alive&)> matters = nullptr;
};

/// Calls `at` with a request of each cell of its command, and with the clauses that match or may; gives up when it says false.
void for_each_cell(const Question& question, const std::function<bool(const Request&, const Alive&)>& at);

/// Whether any clause of that policy is among them which allows.
bool may_allow(const Alive& alive, std::size_t side);

}  // namespace sallyport::policy::analyse
