#include "policy/compile/problems.hpp"

#include <algorithm>
#include <tuple>

#include "ipc/limits.hpp"

namespace sallyport::policy::compile {

namespace {

constexpr std::size_t kMaxReported = 50;

bool is_control(char c) {
    return (c >= '\0' && c < ' ') || c == '\x7F';
}

}  // namespace

Problems::Problems(std::string_view name) : name_(printable_name(name)) {}

void Problems::add(Place place, std::string_view text) {
    all_.push_back({place, printable(text)});
}

std::string Problems::report() const {
    std::vector<Problem> sorted = all_;
    std::ranges::stable_sort(sorted, {}, [](const Problem& problem) {
        return std::tuple(problem.place.line, problem.place.column);
    });
    std::string lines;
    for (std::size_t at = 0; at < std::min(sorted.size(), kMaxReported); ++at) {
        const auto& [place, text] = sorted[at];
        lines += name_ + ":" + std::to_string(place.line) + ":" + std::to_string(place.column) +
                 ": error: " + text + "\n";
    }
    if (sorted.size() > kMaxReported)
        lines += name_ + ": " + std::to_string(sorted.size() - kMaxReported) + " more errors are not shown\n";
    return lines;
}

std::string printable(std::string_view text) {
    std::string result(text);
    std::ranges::replace_if(result, is_control, '?');
    return result;
}

std::string printable_name(std::string_view name) {
    std::string result(name.substr(0, kMaxPath));
    std::ranges::replace_if(result, [](char c) { return c < ' ' || c > '~'; }, '?');
    return result;
}

}  // namespace sallyport::policy::compile
