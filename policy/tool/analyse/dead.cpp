#include "policy/tool/analyse/dead.hpp"

#include <algorithm>
#include <map>
#include <set>

#include "policy/tool/analyse/cells.hpp"
#include "policy/tool/analyse/decider.hpp"

namespace sallyport::policy::analyse {

namespace {

/// What all cells together say of one part.
struct Record {
    Part part;
    bool is_allow = false;
    bool decides = false;  // somewhere, and no other does so there in its place
    bool is_allowed = false;
    std::set<std::size_t> by;
};

class Survey {
public:
    Survey(const Policy& policy, WallTime from) : policy_(policy), decider_(policy), from_(from) {}

    std::vector<DeadPart> run() {
        for (const Command& command : kCommands) {
            if (floor_commands().has(command.id)) continue;
            // Once a rule was seen to decide there is nothing more to be seen of it.
            const auto matters = [this](const Alive& alive) {
                return std::ranges::any_of(alive,
                                           [this](const Clause* one) { return !record_of(*one).decides; });
            };
            for_each_cell(
                {.policies = {&policy_},
                 .from = {.command = command.id, .time = from_},
                 .until = Until::kClauses,
                 .matters = matters},
                [&](const Request& request, const Alive& alive) { return look(request, alive), true; });
        }
        std::vector<DeadPart> dead;
        for (const auto& [key, record] : records_) {
            if (record.decides || record.by.empty()) continue;
            const Dead of_allow = record.is_allowed ? Dead::kAllowed : Dead::kDenied;
            dead.push_back({.part = record.part,
                            .why = record.is_allow ? of_allow : Dead::kDeniedToo,
                            .by = {record.by.begin(), record.by.end()}});
        }
        return dead;
    }

private:
    void look(const Request& request, const Alive& alive) {
        Alive allows, denials;
        for (const Clause* clause : alive) (clause->allows() ? allows : denials).push_back(clause);
        for (const Clause* clause : denials) see(*clause, denials, [](const Clause&) { return true; });
        const std::size_t chosen = chosen_for(request);
        for (const Clause* clause : allows) {
            if (!denials.empty()) {
                Record& record = record_of(*clause);
                for (const Clause* denial : denials) record.by.insert(denial->rule);
                continue;
            }
            record_of(*clause).is_allowed = true;
            if (chosen != kNoRule && clause->rule != chosen) {
                record_of(*clause).by.insert(chosen);
                continue;
            }
            const auto terms = terms_of(*clause->of, clause->entry, request);
            see(*clause, allows,
                [&](const Clause& other) { return terms_of(*other.of, other.entry, request) == terms; });
        }
    }

    /// Of rules that differ in what else they say the agent takes one, in whichever order they stand: those beside it say nothing.
    [[nodiscard]] std::size_t chosen_for(const Request& request) const {
        const Subject subject = subject_of(request.command);
        const bool is_of_one = subject == Subject::kAccounts || subject == Subject::kClock ||
                               subject == Subject::kProcessors || subject == Subject::kBlocks;
        return is_of_one ? decider_.decide(request).rule : kNoRule;
    }

    // It decides unless another does the same; of two that are equal one would still have to stay.
    void see(const Clause& clause, const Alive& among, const auto& does_same) {
        Record& record = record_of(clause);
        bool is_alone = true;
        for (const Clause* other : among) {
            if (other == &clause || !does_same(*other)) continue;
            is_alone = false;
            record.by.insert(other->rule);
        }
        record.decides |= is_alone;
    }

    Record& record_of(const Clause& clause) {
        const bool is_entry = clause.file != nullptr || clause.exec != nullptr;
        const Subject subject = clause.file != nullptr   ? Subject::kFiles
                                : clause.exec != nullptr ? Subject::kExec
                                                         : Subject::kPlain;
        // What goes with entries, such as reading what was opened, is no reason of its own to be there.
        const bool goes_along = !is_entry && !(clause.of->files.empty() && clause.of->exec.empty());
        const auto key = std::tuple(clause.rule, goes_along, subject, clause.entry);
        const auto [place, is_new] = records_.try_emplace(key);
        if (is_new)
            place->second = {.part = {.rule = clause.rule, .subject = subject, .entry = clause.entry},
                             .is_allow = clause.allows(),
                             .decides = goes_along,
                             .by = {}};
        return place->second;
    }

    const Policy& policy_;
    Decider decider_;
    WallTime from_;
    std::map<std::tuple<std::size_t, bool, Subject, std::size_t>, Record> records_;
};

}  // namespace

std::vector<DeadPart> dead_parts(const Policy& policy, WallTime from) {
    return Survey(policy, from).run();
}

}  // namespace sallyport::policy::analyse
