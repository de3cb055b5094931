#include "policy/tool/analyse/diff.hpp"

#include <algorithm>
#include <array>
#include <map>
#include <optional>
#include <set>
#include <sstream>
#include <tuple>

#include "policy/tool/analyse/cells.hpp"

namespace sallyport::policy::analyse {

namespace {

std::set<std::string> words_in(const std::string& text) {
    std::istringstream stream(text);
    return {std::istream_iterator<std::string>(stream), {}};
}

/// Whether going from one to the other narrows; both are of one key, and differ.
bool is_narrower(const Term& before, const Term& after) {
    switch (before.order) {
        case Term::Order::kNone:
            return false;
        case Term::Order::kAtMost:
            return after.number < before.number;
        case Term::Order::kBits:
            return (after.number & ~before.number) == 0;
        case Term::Order::kOnlyIn:
            return !after.text.empty() &&
                   (before.text.empty() ||
                    std::ranges::includes(words_in(before.text), words_in(after.text)));
    }
    check_failed();
}

struct Change {
    Direction direction = Direction::kNarrower;
    std::string terms;
};

std::string shown(const Term& term) {
    return term.text.empty() ? "none" : term.text == std::to_string(UINT64_MAX) ? "any" : term.text;
}

std::optional<Change> change_of(const Outcome& before, const Outcome& after) {
    if (before.is_allowed() != after.is_allowed())
        return Change{.direction = after.is_allowed() ? Direction::kWider : Direction::kNarrower};
    if (!before.is_allowed() || before.terms == after.terms) return std::nullopt;
    Change change;
    // Terms of the floor, which no rule names, are none.
    for (std::size_t at = 0; at < std::min(before.terms.size(), after.terms.size()); ++at) {
        const Term& one = before.terms[at];
        const Term& other = after.terms[at];
        if (one == other) continue;
        if (!is_narrower(one, other)) change.direction = Direction::kWider;
        change.terms += (change.terms.empty() ? "" : ", ") + std::string(one.key) + " " + shown(one) +
                        " -> " + shown(other);
    }
    return change;
}

std::optional<std::string> id_of(const Policy& policy, const Outcome& outcome) {
    if (outcome.rule == kNoRule) return std::nullopt;
    return policy.rules[outcome.rule].id;
}

class Comparison {
public:
    Comparison(const Policy& before, const Policy& after, WallTime from)
        : before_(before), after_(after), from_(from) {}

    std::vector<Difference> run() {
        for (const Command& command : kCommands) {
            sides_ = {clauses_of(before_.policy(), command.id), clauses_of(after_.policy(), command.id)};
            const Question question{
                .policies = {&before_.policy(), &after_.policy()},
                .from = {.command = command.id, .time = from_},
                .matters = [](const Alive& alive) { return may_allow(alive, 0) || may_allow(alive, 1); }};
            for_each_cell(question,
                          [this](const Request& request, const Alive&) { return compare(request), true; });
        }
        std::ranges::stable_sort(found_, {},
                                 [](const Difference& one) { return one.direction == Direction::kNarrower; });
        return std::move(found_);
    }

private:
    void compare(const Request& request) {
        Outcome before = before_.decide(request);
        Outcome after = after_.decide(request);
        const auto change = change_of(before, after);
        if (!change) return;
        // Told apart also by what the rule of the same name did not take.
        std::string limits;
        if (before.is_allowed() != after.is_allowed())
            limits = before.is_allowed() ? limits_of(1, id_of(before_.policy(), before), request)
                                         : limits_of(0, id_of(after_.policy(), after), request);
        const auto key = std::tuple(change->direction, change->terms + limits, subject_of(request.command),
                                    id_of(before_.policy(), before), id_of(after_.policy(), after));
        const auto [place, is_new] = places_.emplace(key, found_.size());
        if (is_new)
            found_.push_back({.direction = change->direction,
                              .witness = request,
                              .before = std::move(before),
                              .after = std::move(after),
                              .terms = change->terms,
                              .limits = limits});
        Difference& one = found_[place->second];
        one.commands.add(request.command);
        ++one.cells;
    }

    /// The keys by which the rule of that name on that side does not match; those of its entry that fails by the fewest.
    [[nodiscard]] std::string limits_of(std::size_t side, const std::optional<std::string>& id,
                                        const Request& request) const {
        std::optional<std::string> least;
        std::size_t fewest = 0;
        for (const Clause& clause : sides_[side]) {
            if (id != clause.of->id || !clause.allows()) continue;
            std::string keys;
            std::size_t count = 0;
            for (const Feature& feature : features_of(subject_of(request.command))) {
                if (feature.split == nullptr || feature.meets(clause, request)) continue;
                keys.append(keys.empty() ? "" : " ").append(feature.key);
                ++count;
            }
            if (least && count >= fewest) continue;
            least = keys;
            fewest = count;
        }
        return least.value_or("");
    }

    Decider before_;
    Decider after_;
    std::array<std::vector<Clause>, 2> sides_;
    WallTime from_;
    std::vector<Difference> found_;
    std::map<
        std::tuple<Direction, std::string, Subject, std::optional<std::string>, std::optional<std::string>>,
        std::size_t>
        places_;
};

void compare_numbers(const std::vector<std::uint32_t>& before, const std::vector<std::uint32_t>& after,
                     const std::string& what, std::vector<OtherDifference>& to) {
    for (const std::uint32_t number : after)
        if (!std::ranges::binary_search(before, number))
            to.push_back({Direction::kWider, what + " " + std::to_string(number) + " may connect"});
    for (const std::uint32_t number : before)
        if (!std::ranges::binary_search(after, number))
            to.push_back(
                {Direction::kNarrower, what + " " + std::to_string(number) + " may no longer connect"});
}

}  // namespace

std::vector<Difference> differences(const Policy& before, const Policy& after, WallTime from) {
    return Comparison(before, after, from).run();
}

std::vector<OtherDifference> other_differences(const Policy& before, const Policy& after) {
    std::vector<OtherDifference> found;
    compare_numbers(before.peer_uids, after.peer_uids, "user", found);
    compare_numbers(before.peer_cids, after.peer_cids, "the machine with CID", found);
    if (after.audit.goes_on && !before.audit.goes_on)
        found.push_back({Direction::kWider, "what cannot be recorded is carried out all the same"});
    if (before.audit.goes_on && !after.audit.goes_on)
        found.push_back({Direction::kNarrower, "what cannot be recorded is refused"});
    return found;
}

}  // namespace sallyport::policy::analyse
