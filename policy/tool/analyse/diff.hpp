// What one policy lets a host do and another does not.
// Runs in:  the policy tool
#pragma once

#include <string>
#include <vector>

#include "policy/tool/analyse/decider.hpp"
#include "policy/tool/analyse/request.hpp"

namespace sallyport::policy::analyse {

/// kNarrower: a host can do less by it, kWider: more, or something in another way.
enum class Direction : std::uint8_t { kNarrower, kWider };

/// Cells that the same rules of both policies decide otherwise, with a request that was decided by both.
struct Difference {
    Direction direction = Direction::kNarrower;
    Request witness;
    Outcome before;
    Outcome after;
    std::string terms;      // what changed where both allow: "output 100 -> 200"
    std::string limits;     // keys by which the rule of that name does not take it in the other policy
    CommandSet commands;    // that it is about
    std::size_t cells = 0;  // in which it is so
};

/// From `from` on. The wider first; in the order of commands.
std::vector<Difference> differences(const Policy& before, const Policy& after, WallTime from);

/// What differs besides rules, one line each: who may connect, and what happens when nothing can be recorded.
struct OtherDifference {
    Direction direction;
    std::string text;
};
std::vector<OtherDifference> other_differences(const Policy& before, const Policy& after);

}  // namespace sallyport::policy::analyse
