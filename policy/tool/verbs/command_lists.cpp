#include "policy/tool/verbs/command_lists.hpp"

#include <algorithm>
#include <array>

#include "policy/tool/compile/problems.hpp"
#include "policy/tool/compile/suggest.hpp"
#include "schema/commands.hpp"

namespace sallyport::policy::cli {

namespace {

constexpr std::string_view kBetween = ", \t\r\n";
// Commands of qemu-ga that this agent does not have: to block one is not a mistake.
constexpr std::array<std::string_view, 8> kOfQemuGaOnly{"guest-set-time",
                                                        "guest-set-vcpus",
                                                        "guest-set-memory-blocks",
                                                        "guest-set-user-password",
                                                        "guest-ssh-get-authorized-keys",
                                                        "guest-ssh-add-authorized-keys",
                                                        "guest-ssh-remove-authorized-keys",
                                                        "guest-get-devices"};

std::vector<std::string_view> known_names() {
    std::vector<std::string_view> names(kOfQemuGaOnly.begin(), kOfQemuGaOnly.end());
    for (const Command& row : kCommands) names.push_back(row.name);
    return names;
}

}  // namespace

void CommandList::add(std::string_view text) {
    is_given = true;
    while (!text.empty()) {
        const std::size_t end = std::min(text.find_first_of(kBetween), text.size());
        if (end > 0) names.emplace_back(text.substr(0, end));
        text.remove_prefix(std::min(end + 1, text.size()));
    }
}

std::vector<std::string> warnings_about(const CommandList& list) {
    const auto known = known_names();
    std::vector<std::string> warnings;
    for (const std::string& name : list.names)
        if (std::ranges::find(known, name) == known.end())
            warnings.push_back(std::string(list.option) + ": there is no command '" +
                               compile::printable(name) + "'" + compile::did_you_mean(name, known));
    return warnings;
}

}  // namespace sallyport::policy::cli
