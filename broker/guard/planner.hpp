// The guard's planner: a child without capabilities that reads the list of mounts and /sys and says what to freeze.
// Runs in:  guard
// Input:    the planner's frames
#pragma once

#include <span>
#include <string>
#include <vector>

#include "base/result.hpp"
#include "base/unique_fd.hpp"
#include "broker/freeze_plan/graph.hpp"
#include "broker/guard/planner.pb.h"
#include "ipc/guard.pb.h"
#include "sandbox/syscalls.hpp"

namespace sallyport::guard {

/// A mount of a file system, as the planner reports it.
struct Place {
    std::uint64_t mount = 0;
    std::string point;
};

/// A file system of the plan.
struct Planned {
    std::vector<Place> places;
    unsigned level = 0;
};

struct Plan {
    std::vector<Planned> systems;
    std::uint32_t covered = 0;  // selected file systems that cannot be opened, since other mounts cover them
};

/// Adds one part of the planner's list.
///
/// THREAT: the planner parses text from anyone who can mount, and may have been taken over. Its list is bounded and ordered;
/// select.hpp opens and checks each place. Errors: kInvalid, kLimit.
Status add_part(const PlanPart& part, std::vector<Planned>& plan);

/// All parts, until the last one or `due_ns`.
///
/// THREAT: it says part after part, and never that it was the last. Places and bytes are counted. Errors: kLimit, those of add_part().
Result<Plan> hear_plan(FdRef child, std::int64_t due_ns);

class Planner {
public:
    /// Opens the list of mounts and /sys. Errors: kSystem.
    static Result<Planner> open();

    /// The file systems that `selection` selects, in the order of freezing. When this returns the child has ended. The child does
    /// not get the descriptors `kept_from_it`. Errors: kLimit if it takes too long and is killed, kSystem, those of add_part().
    Result<Plan> plan(const ipc::FreezeSelection& selection, std::span<const int> kept_from_it);

    [[nodiscard]] FdRef sys() const { return graph_.sys(); }

private:
    void tell(FdRef guard, const ipc::FreezeSelection& selection) const;  // runs in the child
    /// Waits for the planner's end until `due_ns`, then kills it. Errors: kLimit if it had to be killed.
    Status end_process(std::int64_t due_ns);

    UniqueFd mounts_;
    freeze_plan::BlockGraph graph_;
    sandbox::Filter filter_;
    UniqueFd process_;  // the last planner; if it cannot be killed, no other is started
};

}  // namespace sallyport::guard
