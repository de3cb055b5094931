#include "inspector/shown.hpp"

#include <algorithm>

#include "ipc/times.hpp"

namespace sallyport::inspector {

namespace {

bool matches(std::string_view pattern, std::string_view name) {
    if (!pattern.ends_with('*')) return name == pattern;
    return name.starts_with(pattern.substr(0, pattern.size() - 1));
}

bool lists(const google::protobuf::RepeatedPtrField<std::string>& names, std::string_view name) {
    return names.empty() || std::ranges::any_of(names, [&](const auto& one) { return matches(one, name); });
}

bool is_about(const ipc::ReplyRule& rule, const Asked& asked) {
    const auto command = static_cast<std::uint32_t>(asked.command);
    return ipc::is_live(rule.live(), asked.now, ipc::Counts::kToAllow) &&
           std::ranges::find(rule.commands(), command) != rule.commands().end();
}

}  // namespace

Shown shown(const Asked& asked, Names names, std::string_view name) {
    Shown shown{.without = Members().set()};
    for (const ipc::ReplyRule& rule : asked.rules.rules()) {
        if (!is_about(rule, asked) || (names != nullptr && !lists((rule.filter().*names)(), name))) continue;
        Members without;
        for (const int member : rule.filter().without()) without.set(static_cast<std::size_t>(member));
        shown.is_shown = true;
        shown.without &= without;
    }
    return shown;
}

}  // namespace sallyport::inspector
