#include "policy/tool/analyse/coverage.hpp"

#include <algorithm>
#include <map>
#include <set>
#include <tuple>

#include "policy/tool/analyse/cells.hpp"
#include "policy/tool/analyse/decider.hpp"
#include "policy/tool/analyse/diff.hpp"

namespace sallyport::policy::analyse {

namespace {

bool has_entries(Subject subject) {
    return subject == Subject::kFiles || subject == Subject::kExec;
}

template <typename List>
bool erase_entry(List& list, std::size_t entry) {
    list.erase(list.begin() + static_cast<std::ptrdiff_t>(entry));
    return list.empty();
}

using Key = std::tuple<std::size_t, Subject, std::size_t, std::string_view>;

Key key_of(const Part& part) {
    return {part.rule, part.subject, part.entry, part.feature != nullptr ? part.feature->key : ""};
}

/// The part of which the clause is, by that feature or as a whole.
Part part_of(const Clause& clause, const Feature* feature) {
    const bool is_entry = clause.file != nullptr || clause.exec != nullptr;
    const bool is_time = feature != nullptr && feature->name == "time";
    // What a rule says for all its entries, it says once.
    if (!is_entry || is_time) return {.rule = clause.rule, .feature = feature};
    return {.rule = clause.rule,
            .subject = clause.file != nullptr ? Subject::kFiles : Subject::kExec,
            .entry = clause.entry,
            .feature = feature};
}

/// The features that the request does not meet; no more than two.
std::vector<const Feature*> missed_of(const Clause& clause, const Request& request,
                                      std::span<const Feature> features) {
    std::vector<const Feature*> missed;
    for (std::size_t at = 0; at < features.size(); ++at) {
        const Feature& feature = features[at];
        const bool takes_all = (clause.limits >> at & 1U) == 0;
        if (takes_all || feature.split == nullptr || feature.meets(clause, request)) continue;
        missed.push_back(&feature);
        if (missed.size() == 2) break;
    }
    return missed;
}

/// The requests, by their places, that turn on each part, by its place.
using Turns = std::vector<std::vector<std::size_t>>;

Turns turns_of(const Policy& policy, const std::vector<Request>& requests) {
    const Decider decider(policy);
    Turning turning(policy);
    Turns turns(turning.parts().size());
    for (std::size_t at = 0; at < requests.size(); ++at)
        for (const std::size_t part : turning.of(requests[at], decider.decide(requests[at])))
            turns[part].push_back(at);
    return turns;
}

}  // namespace

std::vector<Part> parts_of(const Policy& policy) {
    std::vector<Part> parts;
    std::set<Key> seen;
    const auto add = [&](const Part& part) {
        if (seen.insert(key_of(part)).second) parts.push_back(part);
    };
    for (const Command& command : kCommands) {
        const auto features = features_of(subject_of(command.id));
        for (const Clause& clause : clauses_of(policy, command.id)) {
            const bool is_entry = clause.file != nullptr || clause.exec != nullptr;
            // Of a rule with entries, each of these is a part.
            if (is_entry || (clause.of->files.empty() && clause.of->exec.empty()))
                add(part_of(clause, nullptr));
            for (std::size_t at = 0; at < features.size(); ++at)
                if ((clause.limits >> at & 1U) != 0) add(part_of(clause, &features[at]));
        }
    }
    std::ranges::stable_sort(parts, {}, &Part::rule);
    return parts;
}

Turning::Turning(const Policy& policy) : policy_(policy), parts_(parts_of(policy)) {
    for (std::size_t at = 0; at < parts_.size(); ++at) places_.emplace(key_of(parts_[at]), at);
}

std::vector<std::size_t> Turning::of(const Request& request, const Outcome& outcome) {
    const auto [own, is_new] = clauses_.try_emplace(request.command);
    if (is_new) own->second = clauses_of(policy_, request.command);
    const auto features = features_of(subject_of(request.command));
    std::vector<std::size_t> found;
    const auto add = [&](const Part& part) {
        if (const auto place = places_.find(key_of(part)); place != places_.end())
            found.push_back(place->second);
    };
    for (const Clause& clause : own->second) {
        const auto missed = missed_of(clause, request, features);
        if (missed.size() == 1) add(part_of(clause, missed.front()));
        // Of a deny rule every entry that matches decides.
        const bool is_it = clause.rule == outcome.rule && (!clause.allows() || clause.entry == outcome.entry);
        if (missed.empty() && is_it) add(part_of(clause, nullptr));
    }
    return found;
}

std::vector<Part> untried(const Policy& policy, const std::vector<Request>& requests) {
    const Turns turns = turns_of(policy, requests);
    const std::vector<Part> parts = parts_of(policy);
    std::vector<Part> left;
    for (std::size_t at = 0; at < parts.size(); ++at)
        if (turns[at].empty()) left.push_back(parts[at]);
    return left;
}

std::vector<Request> complete_requests(const Policy& policy, WallTime from) {
    std::vector<Request> requests;
    for (const Command& command : kCommands)
        for_each_cell(
            {.policies = {&policy}, .from = {.command = command.id, .time = from}},
            [&](const Request& request, const Alive&) { return requests.push_back(request), true; });
    // The request of a cell in which all is refused need not be near to anything.
    const Turns turns = turns_of(policy, requests);
    const Decider decider(policy);
    const std::vector<Part> parts = parts_of(policy);
    for (std::size_t place = 0; place < parts.size(); ++place) {
        const Policy mutant = without(policy, parts[place]);
        const Decider other(mutant);
        const auto notices = [&](std::size_t at) {
            return decider.decide(requests[at]).is_allowed() != other.decide(requests[at]).is_allowed();
        };
        if (std::ranges::any_of(turns[place], notices)) continue;
        for (const Difference& one : differences(policy, mutant, from)) {
            if (!one.terms.empty()) continue;
            requests.push_back(one.witness);
            break;
        }
    }
    return requests;
}

Policy without(const Policy& policy, const Part& part) {
    Policy changed = policy;
    Rule& rule = changed.rules[part.rule];
    if (part.feature != nullptr) {
        part.feature->loosen(rule, part.entry);
        return changed;
    }
    bool is_empty = !has_entries(part.subject);
    if (part.subject == Subject::kFiles) is_empty = erase_entry(rule.files, part.entry);
    if (part.subject == Subject::kExec) is_empty = erase_entry(rule.exec, part.entry);
    // A deny rule without files would be about all of them.
    if (is_empty) changed.rules.erase(changed.rules.begin() + static_cast<std::ptrdiff_t>(part.rule));
    return changed;
}

}  // namespace sallyport::policy::analyse
