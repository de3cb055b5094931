#include "policy/tool/compile/one_way.hpp"

#include <algorithm>
#include <charconv>
#include <utility>
#include <vector>

#include "policy/exec.hpp"
#include "policy/guest_path.hpp"
#include "schema/commands.hpp"

namespace sallyport::policy::compile {

namespace {

using compiled::Rule;

bool share_mode(const Rule& one, const Rule& other) {
    return std::ranges::any_of(
        one.modes(), [&](int mode) { return std::ranges::find(other.modes(), mode) != other.modes().end(); });
}

// The line of a rule in the admin's own text; the first line if the rule comes from a profile.
Place place_of_rule(const Rule& rule, const std::string& text_name) {
    Place place;
    if (rule.where().starts_with(text_name + ":")) {
        const char* const end = rule.where().data() + rule.where().size();
        std::from_chars(rule.where().data() + text_name.size() + 1, end, place.line);
    }
    return place;
}

using ipc::ExecWord;

// Whether some word fits both places. Either `one` is a fixed word, or neither is.
bool have_common_word(const ExecWord& one, const ExecWord& other) {
    if (one.has_text()) return accepts(other, one.text());
    if (one.has_one_of())
        return std::ranges::any_of(one.one_of().text(),
                                   [&](const auto& text) { return accepts(other, text); });
    if (one.has_number() && other.has_number())
        return std::max(one.number().least(), other.number().least()) <=
               std::min(one.number().most(), other.number().most());
    if (one.has_under() && other.has_under()) {
        const auto [shorter, longer] = std::minmax(
            one.under(), other.under(), [](const auto& a, const auto& b) { return a.size() < b.size(); });
        const auto path = GuestPath::parse(longer, "/");
        return path && path->is_within(shorter);
    }
    if (one.has_under() || other.has_under()) return false;
    // Names can have any length, and can be numbers without a sign.
    const ExecWord& number = one.has_number() ? one : other;
    return !number.has_number() || number.number().most() >= 0;
}

bool may_meet(const ExecWord& one, const ExecWord& other) {
    const bool is_listed = other.has_text() || other.has_one_of();
    return is_listed ? have_common_word(other, one) : have_common_word(one, other);
}

// Whether some request is covered by both.
bool may_meet(const ipc::ExecTemplate& one, const ipc::ExecTemplate& other) {
    if (!one.program().empty() && !other.program().empty() && one.program() != other.program()) return false;
    if (one.any_args() || other.any_args()) return true;
    if (one.args_size() != other.args_size()) return false;
    for (int at = 0; at < one.args_size(); ++at)
        if (!may_meet(one.args(at), other.args(at))) return false;
    return true;
}

// Also for templates of one rule.
void refuse_two_templates(const compiled::Compiled& policy, Problems& problems) {
    std::vector<std::pair<const Rule*, const ipc::ExecTemplate*>> all;
    for (const Rule& rule : policy.rules())
        for (const ipc::ExecTemplate& one : rule.exec()) {
            for (const auto& [earlier, other] : all) {
                if (!may_meet(one, *other)) continue;
                problems.add(
                    place_of_rule(rule, problems.name()),
                    "rules " + quoted(earlier->id()) + " (" + earlier->where() + ") and " +
                        quoted(rule.id()) + " let the same words of " +
                        (one.program().empty() ? "a program" : quoted(one.program())) +
                        " be started by two 'exec' tables; order does not matter, so one table must say how");
            }
            all.emplace_back(&rule, &one);
        }
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

}  // namespace

void refuse_two_ways(const compiled::Compiled& policy, Problems& problems) {
    refuse_two_templates(policy, problems);
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
