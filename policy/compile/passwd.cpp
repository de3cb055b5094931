#include "policy/compile/passwd.hpp"

#include <algorithm>
#include <charconv>
#include <ranges>
#include <system_error>

namespace sallyport::policy::compile {

namespace {

/// Cuts the part before the first `separator` off `text`.
std::string_view cut(std::string_view& text, char separator) {
    const std::size_t end = std::min(text.find(separator), text.size());
    const std::string_view part = text.substr(0, end);
    text.remove_prefix(std::min(end + 1, text.size()));
    return part;
}

}  // namespace

Passwd::Passwd(std::string_view text) {
    while (!text.empty()) {
        std::string_view line = cut(text, '\n');
        const std::string_view name = cut(line, ':');
        cut(line, ':');
        const std::string_view number = cut(line, ':');
        std::uint32_t uid = 0;
        const auto [end, error] = std::from_chars(number.data(), number.data() + number.size(), uid);
        const bool is_number = error == std::errc{} && end == number.data() + number.size();
        // The first line of a name counts, as for the C library.
        if (!name.empty() && is_number) users_.emplace(name, uid);
    }
}

std::optional<std::uint32_t> Passwd::find(std::string_view name) const {
    const auto found = users_.find(name);
    if (found == users_.end()) return std::nullopt;
    return found->second;
}

std::vector<std::string_view> Passwd::names() const {
    const auto keys = users_ | std::views::keys;
    return {keys.begin(), keys.end()};
}

}  // namespace sallyport::policy::compile
