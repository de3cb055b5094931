#include "policy/tool/log/request.hpp"

#include <algorithm>
#include <array>
#include <charconv>

#include "base/clock.hpp"
#include "policy/tool/analyse/feature.hpp"
#include "policy/tool/analyse/words.hpp"

namespace sallyport::policy::log {

namespace {

using analyse::Request;
using analyse::Subject;
using Members = std::vector<Member>;

constexpr std::size_t kKeysShown = 4096;   // bytes of a line of the log
constexpr std::size_t kItemsShown = 1024;  // the same, of processors and blocks
constexpr std::size_t kWordsShown = 4096;  // the same, of words

/// A member of the arguments, and the feature that it gives a value.
struct Argument {
    CommandId command;
    std::string_view member;
    std::string_view feature;
};
constexpr std::array kArguments{
    Argument{CommandId::kFileOpen, "path", "path"}, Argument{CommandId::kFileOpen, "mode", "mode"},
    Argument{CommandId::kShutdown, "mode", "mode"}, Argument{CommandId::kExec, "path", "program"}};

// What the broker says of a refusal that no change of the rules would have spared the host, or none that the log shows.
constexpr std::array<std::string_view, 9> kOfTheState{
    kSpent,
    "file systems are frozen",
    "the audit log takes nothing",
    "more keys than the rule accepts",
    "the rule has expired",
    "the rule has expired, or the step has become too large",
    "the rule does not let it be that far",
    "the file would become larger than the rule accepts",
    "no allow rule covers this path and mode any more"};
constexpr std::array<std::string_view, 3> kOfThePath{
    "the command is not allowed", "no allow rule covers this path and mode", "a deny rule matches"};

std::vector<std::string> parts_of(const std::string& text, char end_of_part) {
    std::vector<std::string> parts;
    for (std::size_t at = 0; at < text.size();) {
        const std::size_t end = std::min(text.find(end_of_part, at), text.size());
        parts.push_back(text.substr(at, end - at));
        at = end + 1;
    }
    return parts;
}

// The blanks in a line of the log are both those between words and those in them.
void read_program(const Members& members, Asked& asked) {
    analyse::ExecWish& wish = asked.request.exec;
    const std::string text = text_of(members, "arg");
    wish.args = parts_of(text, ' ');
    if (text.ends_with(' ')) wish.args.emplace_back();
    const auto count =
        static_cast<std::size_t>(std::max<std::int64_t>(0, number_of(members, "args").value_or(0)));
    if (text.empty() && count == 1) wish.args.emplace_back();
    asked.is_exact &= count == wish.args.size() && text.size() < kWordsShown;
    const bool has_env = std::ranges::any_of(members, [](const Member& one) { return one.name == "env"; });
    if (has_env) {
        wish.env.emplace();
        for (const std::string& name : parts_of(text_of(members, "env"), ' '))
            wish.env->push_back(name + "=");
    }
    if (const auto input = number_of(members, "input"); input && *input >= 0)
        wish.input = static_cast<std::uint64_t>(*input);
}

std::int64_t product_of(std::int64_t number, std::int64_t unit) {
    std::int64_t product = 0;
    if (!__builtin_mul_overflow(number, unit, &product)) return product;
    return number < 0 ? INT64_MIN : INT64_MAX;
}

// Of long lists the log has the beginning.
void read_order(const Members& members, Asked& asked) {
    Request& request = asked.request;
    if (const std::string user = text_of(members, "user"); !user.empty()) request.account.user = user;
    request.account.crypted = text_of(members, "crypted") == "yes";
    request.account.reset = text_of(members, "reset") == "yes";
    const std::string keys = text_of(members, "keys");
    request.account.keys = parts_of(keys, '\n');
    if (const auto step = number_of(members, "step_ms")) request.set.step_ns = product_of(*step, kNsPerMs);
    const std::string set = text_of(members, "set");
    for (const std::string& part : parts_of(set, ' ')) {
        std::int64_t number = 0;
        std::from_chars(part.data(), part.data() + part.size(), number);
        request.set.numbers.push_back(static_cast<std::uint64_t>(number));
    }
    const auto count = request.account.keys.size() + request.set.numbers.size();
    asked.is_exact &= keys.size() < kKeysShown && set.size() < kItemsShown &&
                      number_of(members, "count").value_or(0) == static_cast<std::int64_t>(count);
}

bool is_order(Subject subject) {
    return subject == Subject::kAccounts || subject == Subject::kClock || subject == Subject::kProcessors ||
           subject == Subject::kBlocks;
}

}  // namespace

std::optional<CommandId> command_of(const Record& record) {
    return find_command(record.what);
}

std::span<const std::string_view> reasons_of_the_state() {
    return kOfTheState;
}

std::span<const std::string_view> reasons_of_the_path() {
    return kOfThePath;
}

bool was_refused_by_rules(const Record& record) {
    if (record.verdict != "refuse") return false;
    if (record.what == "guest-file-open")
        return std::ranges::find(kOfThePath, record.reason) != kOfThePath.end();
    return std::ranges::find(kOfTheState, record.reason) == kOfTheState.end();
}

std::expected<Asked, std::string> asked_of(const Record& record) {
    const auto command = command_of(record);
    if (!command) return std::unexpected(std::string("that line is about no command"));
    Asked asked;
    asked.request.command = *command;
    if (const auto time = seconds_of(record.time)) asked.request.time = *time;
    asked.is_exact = !record.is_shortened;
    const Members members = members_of(record.arguments);
    for (const auto& [about, member, feature] : kArguments) {
        const bool is_said =
            std::ranges::any_of(members, [&](const Member& one) { return one.name == member; });
        if (about != *command || !is_said) continue;
        const auto read = analyse::read_word(asked.request, {std::string(feature), text_of(members, member)});
        if (!read) return std::unexpected(read.error());
    }
    if (*command == CommandId::kExec) read_program(members, asked);
    if (is_order(analyse::subject_of(*command))) read_order(members, asked);
    return asked;
}

}  // namespace sallyport::policy::log
