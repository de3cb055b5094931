#include "policy/tool/analyse/cells.hpp"

#include <algorithm>
#include <map>
#include <set>
#include <tuple>

#include "policy/tool/analyse/decider.hpp"

namespace sallyport::policy::analyse {

namespace {

/// What of the request later features look at themselves: a cell is one only where this is one, too.
unsigned context_of(const Request& request) {
    return (request.file.is_new ? 1U : 0U) | (request.file.found.kind == Kind::kRegular ? 2U : 0U) |
           (request.mount.point.empty() ? 4U : 0U) | (request.mount.is_local ? 8U : 0U) |
           (request.account.keys.empty() ? 16U : 0U);
}

/// What is done by a clause when it allows; clauses with the same are told apart by nothing but when they match.
auto way_of(const Clause& clause) {
    const FileRule* file = clause.allows() ? clause.file : nullptr;
    return std::tuple(clause.side, clause.allows(),
                      file != nullptr ? std::string_view(file->under) : std::string_view(),
                      file != nullptr ? file->max_size : std::nullopt,
                      file != nullptr ? file->create_mode : 0, clause.exec, clause.account, clause.set);
}

class Walk {
public:
    Walk(const Question& question, const std::function<bool(const Request&, const Alive&)>& at)
        : question_(question),
          at_(at),
          features_(features_of(subject_of(question.from.command))),
          request_(question.from) {}

    void run() {
        std::vector<Clause> clauses;
        for (std::size_t side = 0; side < question_.policies.size(); ++side)
            std::ranges::move(clauses_of(*question_.policies[side], request_.command, side),
                              std::back_inserter(clauses));
        Alive alive;
        for (const Clause& clause : clauses) alive.push_back(&clause);
        split(0, alive);
    }

private:
    void split(std::size_t feature, const Alive& alive) {
        if (has_stopped_ || (question_.matters && !question_.matters(alive))) return;
        if (feature == features_.size() || is_settled(feature, alive)) {
            has_stopped_ = !at_(request_, alive);
            return;
        }
        const Feature& row = features_[feature];
        if (row.split == nullptr) return split(feature + 1, alive);
        const std::size_t next = end_of(feature);
        const auto rows = features_.subspan(feature, next - feature);
        std::set<std::pair<unsigned, Alive>> seen;
        const Request before = request_;
        const auto visit = [&] {
            Alive left;
            std::ranges::copy_if(alive, std::back_inserter(left), [&](const Clause* clause) {
                return std::ranges::all_of(rows,
                                           [&](const Feature& one) { return one.meets(*clause, request_); });
            });
            if (has_stopped_ || !seen.emplace(context_of(request_), left).second) return;
            const Request value = request_;
            split(next, left);
            request_ = value;
        };
        if (std::ranges::find(question_.fixed, row.name) != question_.fixed.end())
            visit();
        else
            row.split(thinned(next, alive), request_, visit);
        request_ = before;
    }

    /// The first row that is about another value of the request.
    [[nodiscard]] std::size_t end_of(std::size_t feature) const {
        std::size_t end = feature + 1;
        while (end < features_.size() && features_[end].split == features_[feature].split) ++end;
        return end;
    }

    /// Of clauses that differ in their last limit alone, when they expire, only the one that lasts longest settles anything.
    [[nodiscard]] Alive thinned(std::size_t next, const Alive& alive) const {
        if (next != features_.size() || question_.until == Until::kClauses) return alive;
        const auto lasts = [](const Clause* clause) { return clause->of->expires.value_or(INT64_MAX); };
        std::map<decltype(way_of(*alive.front())), const Clause*> longest;
        Alive left;
        for (const Clause* clause : alive) {
            if (clause->of->when) {
                left.push_back(clause);
                continue;
            }
            const auto [entry, is_new] = longest.emplace(way_of(*clause), clause);
            if (!is_new && lasts(clause) > lasts(entry->second)) entry->second = clause;
        }
        for (const auto& [way, clause] : longest) left.push_back(clause);
        return left;
    }

    [[nodiscard]] bool is_settled(std::size_t feature, const Alive& alive) const {
        const std::uint64_t rest = ~std::uint64_t{0} << feature;
        const auto is_open = [rest](const Clause* clause) { return (clause->limits & rest) != 0; };
        if (std::ranges::none_of(alive, is_open)) return true;
        if (question_.until == Until::kClauses) return false;
        for (std::size_t side = 0; side < question_.policies.size(); ++side)
            if (!is_settled_for(side, alive, is_open)) return false;
        return true;
    }

    [[nodiscard]] bool is_settled_for(std::size_t side, const Alive& alive, const auto& is_open) const {
        if (side == question_.matched)
            return std::ranges::none_of(
                alive, [&](const Clause* clause) { return clause->side == side && is_open(clause); });
        const Clause* first = nullptr;
        bool is_allowed = false, may_be_denied = false, is_one_way = true;
        for (const Clause* clause : alive) {
            if (clause->side != side) continue;
            if (!clause->allows()) {
                if (!is_open(clause)) return true;
                may_be_denied = true;
                continue;
            }
            is_allowed |= !is_open(clause);
            is_one_way &= first == nullptr || way_of(*first) == way_of(*clause);
            first = clause;
        }
        return first == nullptr || (is_allowed && is_one_way && !may_be_denied);
    }

    const Question& question_;
    const std::function<bool(const Request&, const Alive&)>& at_;
    std::span<const Feature> features_;
    Request request_;
    bool has_stopped_ = false;
};

}  // namespace

void for_each_cell(const Question& question, const std::function<bool(const Request&, const Alive&)>& at) {
    Walk(question, at).run();
}

bool may_allow(const Alive& alive, std::size_t side) {
    return std::ranges::any_of(
        alive, [side](const Clause* clause) { return clause->side == side && clause->allows(); });
}

}  // namespace sallyport::policy::analyse
