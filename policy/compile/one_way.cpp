#include "policy/compile/one_way.hpp"

#include <algorithm>
#include <charconv>

#include "schema/commands.hpp"

namespace sallyport::policy::compile {

namespace {

using compiled::Rule;

bool share_mode(const Rule& one, const Rule& other) {
    return std::ranges::any_of(
        one.modes(), [&](int mode) { return std::ranges::find(other.modes(), mode) != other.modes().end(); });
}

bool does_otherwise(const Rule& one, const Rule& other, const Command& command) {
    if (command.floor == Floor::kYes) return false;
    if (command.group == Group::kFreeze)
        return one.freeze().SerializeAsString() != other.freeze().SerializeAsString() ||
               one.hooks() != other.hooks();
    if (command.group != Group::kPower || one.method() == other.method()) return false;
    return command.id != CommandId::kShutdown || share_mode(one, other);
}

// The first command that both allow in different ways.
const Command* contested(const Rule& one, const Rule& other) {
    if (one.effect() != Rule::ALLOW || other.effect() != Rule::ALLOW) return nullptr;
    for (const std::uint32_t number : one.commands()) {
        const auto command = command_from_number(number);
        if (command && std::ranges::find(other.commands(), number) != other.commands().end() &&
            does_otherwise(one, other, command_row(*command)))
            return &command_row(*command);
    }
    return nullptr;
}

// The line of the admin's own text that a rule stands in; the first, if it comes with a profile.
Place place_of_rule(const Rule& rule, const std::string& text_name) {
    Place place;
    if (rule.where().starts_with(text_name + ":")) {
        const char* const end = rule.where().data() + rule.where().size();
        std::from_chars(rule.where().data() + text_name.size() + 1, end, place.line);
    }
    return place;
}

}  // namespace

void refuse_two_ways(const compiled::Compiled& policy, Problems& problems) {
    for (int second = 1; second < policy.rules_size(); ++second)
        for (int first = 0; first < second; ++first) {
            const Rule& one = policy.rules(first);
            const Rule& other = policy.rules(second);
            const Command* command = contested(one, other);
            if (command == nullptr) continue;
            problems.add(place_of_rule(other, problems.name()),
                         "rules " + quoted(one.id()) + " (" + one.where() + ") and " + quoted(other.id()) +
                             " let " + quoted(command->name) +
                             " be done in different ways; order does not matter, so one rule must say how");
        }
}

}  // namespace sallyport::policy::compile
