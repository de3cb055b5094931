#include "policy/tool/compile/passwd.hpp"

#include <algorithm>
#include <charconv>
#include <ranges>
#include <system_error>

namespace sallyport::policy::compile {

namespace {

/// Removes and returns the part of `text` before the first `separator`.
std::string_view cut(std::string_view& text, char separator) {
    const std::size_t end = std::min(text.find(separator), text.size());
    const std::string_view part = text.substr(0, end);
    text.remove_prefix(std::min(end + 1, text.size()));
    return part;
}

std::optional<std::uint32_t> to_number(std::string_view text) {
    std::uint32_t number = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
    if (error != std::errc{} || end != text.data() + text.size()) return std::nullopt;
    return number;
}

bool is_member(std::string_view members, std::string_view name) {
    while (!members.empty())
        if (cut(members, ',') == name) return true;
    return false;
}

}  // namespace

Passwd::Passwd(std::string_view text, std::string_view groups) : groups_(groups) {
    while (!text.empty()) {
        std::string_view line = cut(text, '\n');
        const std::string_view name = cut(line, ':');
        cut(line, ':');
        const auto uid = to_number(cut(line, ':'));
        // The first line of a name counts, like in the C library.
        const auto gid = to_number(cut(line, ':'));
        cut(line, ':');
        if (!name.empty() && uid) users_.emplace(name, User{.uid = *uid, .gid = gid, .home = cut(line, ':')});
    }
}

std::optional<std::uint32_t> Passwd::find(std::string_view name) const {
    const auto found = users_.find(name);
    if (found == users_.end()) return std::nullopt;
    return found->second.uid;
}

std::optional<Passwd::Ids> Passwd::ids_of(std::string_view name) const {
    const auto found = users_.find(name);
    if (found == users_.end() || !found->second.gid) return std::nullopt;
    Ids ids{.uid = found->second.uid, .gid = *found->second.gid, .groups = {*found->second.gid}};
    std::string_view text = groups_;
    while (!text.empty()) {
        std::string_view line = cut(text, '\n');
        cut(line, ':');
        cut(line, ':');
        const auto gid = to_number(cut(line, ':'));
        if (gid && is_member(line, name)) ids.groups.push_back(*gid);
    }
    std::ranges::sort(ids.groups);
    const auto same = std::ranges::unique(ids.groups);
    ids.groups.erase(same.begin(), same.end());
    return ids;
}

std::string_view Passwd::home_of(std::string_view name) const {
    const auto found = users_.find(name);
    return found == users_.end() ? std::string_view() : found->second.home;
}

std::vector<std::string_view> Passwd::names() const {
    const auto keys = users_ | std::views::keys;
    return {keys.begin(), keys.end()};
}

}  // namespace sallyport::policy::compile
