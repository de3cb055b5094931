#include "policy/tool/compile/suggest.hpp"

#include <algorithm>
#include <vector>

namespace sallyport::policy::compile {

namespace {

constexpr std::size_t kMaxWordSize = 64;   // longer words are not typing errors
constexpr std::size_t kMaxListed = 8;      // more choices are not listed
constexpr std::size_t kMinPrefixSize = 3;  // "char" for "character"

std::string lower(std::string_view word) {
    std::string result(word);
    for (char& c : result)
        if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
    return result;
}

/// The number of insertions, deletions, replacements and swaps of neighbours that turn one word into the other.
std::size_t distance(std::string_view from, std::string_view to) {
    std::vector<std::vector<std::size_t>> cost(from.size() + 1, std::vector<std::size_t>(to.size() + 1));
    for (std::size_t i = 0; i <= from.size(); ++i) cost[i][0] = i;
    for (std::size_t j = 0; j <= to.size(); ++j) cost[0][j] = j;
    for (std::size_t i = 1; i <= from.size(); ++i) {
        for (std::size_t j = 1; j <= to.size(); ++j) {
            const std::size_t replaced = cost[i - 1][j - 1] + (from[i - 1] == to[j - 1] ? 0 : 1);
            cost[i][j] = std::min({cost[i - 1][j] + 1, cost[i][j - 1] + 1, replaced});
            const bool is_swap = i > 1 && j > 1 && from[i - 1] == to[j - 2] && from[i - 2] == to[j - 1];
            if (is_swap) cost[i][j] = std::min(cost[i][j], cost[i - 2][j - 2] + 1);
        }
    }
    return cost[from.size()][to.size()];
}

/// How different a word may be. A common prefix does not count: "guest-exit" does not mean "guest-sync".
bool is_near(std::string_view word, std::string_view known) {
    const auto parted = std::ranges::mismatch(word, known);
    const auto shared = static_cast<std::size_t>(parted.in1 - word.begin());
    const std::size_t rest = std::max(word.size(), known.size()) - shared;
    return distance(word, known) <= std::max<std::size_t>(1, rest / 3);
}

}  // namespace

std::optional<std::string_view> closest(std::string_view word, std::span<const std::string_view> known) {
    if (word.size() > kMaxWordSize) return std::nullopt;
    const std::string wanted = lower(word);
    std::optional<std::string_view> best;
    for (const std::string_view each : known) {
        const std::string candidate = lower(each);
        if (!is_near(wanted, candidate)) continue;
        if (!best || distance(wanted, candidate) < distance(wanted, lower(*best))) best = each;
    }
    if (best || wanted.size() < kMinPrefixSize) return best;
    const auto begins = [&](std::string_view each) { return lower(each).starts_with(wanted); };
    if (std::ranges::count_if(known, begins) == 1) best = *std::ranges::find_if(known, begins);
    return best;
}

std::string did_you_mean(std::string_view word, std::span<const std::string_view> known) {
    if (const auto near = closest(word, known)) return "; did you mean '" + std::string(*near) + "'?";
    if (known.empty() || known.size() > kMaxListed) return "";
    std::string list = "; expected ";
    for (std::size_t at = 0; at < known.size(); ++at) {
        if (at > 0) list += at + 1 == known.size() ? " or " : ", ";
        list += "'" + std::string(known[at]) + "'";
    }
    return list;
}

}  // namespace sallyport::policy::compile
