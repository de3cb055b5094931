#include "policy/tool/compile/power_rule.hpp"

#include <algorithm>
#include <array>
#include <set>

namespace sallyport::policy::compile {

namespace {

using Rule = compiled::Rule;

constexpr std::array kModes{Choice{"halt", Rule::HALT}, Choice{"powerdown", Rule::POWERDOWN},
                            Choice{"reboot", Rule::REBOOT}};
constexpr std::array kMethods{Choice{"systemd", Rule::SYSTEMD}, Choice{"init", Rule::INIT},
                              Choice{"pm-utils", Rule::PM_UTILS}, Choice{"kernel", Rule::KERNEL}};

bool has_group(CommandSet commands, Group group) {
    return std::ranges::any_of(
        kCommands, [&](const Command& row) { return row.group == group && commands.has(row.id); });
}

void read_modes(Reader& reader, const toml::table& rule, CommandSet commands, Rule& to) {
    const bool is_shutdown = commands.has(CommandId::kShutdown);
    const toml::node* node = rule.get("modes");
    if (node == nullptr) {
        if (is_shutdown && to.effect() == Rule::ALLOW)
            reader.problem(place_of(*rule.get("commands")),
                           "a rule that allows guest-shutdown must say which modes: modes = [\"powerdown\"]");
        return;
    }
    if (!is_shutdown)
        return reader.problem(place_of(*node), "'modes' means nothing here: it is about guest-shutdown");
    CommandSet others = commands;
    others.remove(CommandId::kShutdown);
    if (to.effect() == Rule::DENY && !others.is_empty())
        return reader.problem(place_of(*node), "a deny rule with 'modes' can be about guest-shutdown only");
    std::set<int> modes;
    if (const auto words = reader.words(rule, "modes"))
        for (const Word& word : *words)
            if (const auto mode = reader.choice(word, "modes", kModes)) modes.insert(*mode);
    for (const int mode : modes) to.add_modes(static_cast<Rule::Mode>(mode));
}

}  // namespace

void read_power(Reader& reader, const toml::table& rule, CommandSet commands, compiled::Rule& to) {
    read_modes(reader, rule, commands, to);
    const toml::node* node = rule.get("method");
    if (node == nullptr) return;
    if (to.effect() == Rule::DENY || !has_group(commands, Group::kPower))
        return reader.problem(place_of(*node),
                              "'method' means nothing here: it is about allowing a shutdown or a suspend");
    if (const auto method = reader.choice(rule, "method", kMethods))
        to.set_method(static_cast<Rule::Method>(*method));
}

}  // namespace sallyport::policy::compile
