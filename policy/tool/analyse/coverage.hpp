// What of a policy a set of requests tries, and what could change without any of them noticing.
// Runs in:  the policy tool
#pragma once

#include <cstddef>
#include <map>
#include <string_view>
#include <tuple>
#include <vector>

#include "policy/decide.hpp"
#include "policy/tool/analyse/decider.hpp"
#include "policy/tool/analyse/feature.hpp"
#include "policy/tool/analyse/request.hpp"

namespace sallyport::policy::analyse {

/// A rule, an entry of its `files` or `exec`, or what one of the two says by one key.
struct Part {
    std::size_t rule = kNoRule;
    Subject subject = Subject::kPlain;  // kFiles and kExec: `entry` is one of these lists
    std::size_t entry = 0;
    const Feature* feature = nullptr;  // null: the whole of it
};

/// All that a rule says: itself or each of its entries, and each key by which they take not everything.
std::vector<Part> parts_of(const Policy& policy);

/// Which parts a request turns on: it is decided by that rule or entry, or matches all of it but this key.
class Turning {
public:
    /// `policy` must outlive it.
    explicit Turning(const Policy& policy);
    [[nodiscard]] const std::vector<Part>& parts() const { return parts_; }
    /// Places in parts(); `outcome` is how the request was decided.
    std::vector<std::size_t> of(const Request& request, const Outcome& outcome);

private:
    const Policy& policy_;
    std::vector<Part> parts_;
    std::map<std::tuple<std::size_t, Subject, std::size_t, std::string_view>, std::size_t> places_;
    std::map<CommandId, std::vector<Clause>> clauses_;
};

/// The parts that none of the requests turns on: none is decided by that rule or entry, or matches all of it but this key.
std::vector<Part> untried(const Policy& policy, const std::vector<Request>& requests);

/// One request of each cell from `from` on, and one for each part that turns on it, where there is any.
std::vector<Request> complete_requests(const Policy& policy, WallTime from);

/// The policy without that part: without the entry, or with everything taken where the key says some.
Policy without(const Policy& policy, const Part& part);

}  // namespace sallyport::policy::analyse
