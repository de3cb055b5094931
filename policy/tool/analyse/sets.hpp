// Features that are sets: a clause takes a set if it takes each thing in it.
// Runs in:  the policy tool
#pragma once

#include <algorithm>
#include <set>
#include <vector>

#include "policy/tool/analyse/feature.hpp"

namespace sallyport::policy::analyse {

/// Sets of `things`, such that every set of clauses that take some set of them take one of these: the empty one, then the smaller
/// ones first. `takes` says of a clause and a thing whether it takes that.
template <typename Thing>
std::vector<std::vector<Thing>> sets_of(const Alive& alive, const std::vector<Thing>& things,
                                        const auto& takes) {
    struct Class {
        Alive takers;
        std::vector<Thing> set;
    };
    const auto left_of = [&](const Alive& takers, const Thing& thing) {
        Alive left;
        std::ranges::copy_if(takers, std::back_inserter(left),
                             [&](const Clause* clause) { return takes(*clause, thing); });
        return left;
    };
    // Of things that the same clauses take, one says all.
    std::set<Alive> kinds;
    std::vector<Thing> few;
    for (const Thing& thing : things)
        if (kinds.insert(left_of(alive, thing)).second) few.push_back(thing);
    // Whether a set is empty may matter to a later feature, so one that is not is among them, too.
    std::set<Alive> seen;
    std::vector<Class> classes{{.takers = alive, .set = {}}};
    for (std::size_t at = 0; at < classes.size(); ++at)
        for (const Thing& thing : few) {
            Class next{.takers = left_of(classes[at].takers, thing), .set = classes[at].set};
            if (!seen.insert(next.takers).second) continue;
            next.set.push_back(thing);
            classes.push_back(std::move(next));
        }
    std::vector<std::vector<Thing>> sets;
    for (Class& one : classes) sets.push_back(std::move(one.set));
    return sets;
}

}  // namespace sallyport::policy::analyse
