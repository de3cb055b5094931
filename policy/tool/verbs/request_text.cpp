#include "policy/tool/verbs/request_text.hpp"

#include <algorithm>
#include <array>
#include <boost/json.hpp>
#include <cerrno>
#include <charconv>
#include <cstring>

#include "policy/tool/analyse/feature.hpp"
#include "policy/tool/analyse/words.hpp"
#include "policy/tool/compile/problems.hpp"
#include "policy/tool/log/lines.hpp"
#include "policy/tool/log/request.hpp"

namespace sallyport::policy::cli {

namespace {

namespace json = boost::json;
using analyse::Request;
using Read = std::expected<void, std::string>;

std::expected<json::object, std::string> parse(std::string_view line) {
    boost::system::error_code error;
    json::value value = json::parse({line.data(), line.size()}, error);
    if (error || !value.is_object()) return std::unexpected(std::string("it is no JSON object"));
    return std::move(value.as_object());
}

std::string text_of(const json::object& object, std::string_view name) {
    const json::value* value = object.if_contains({name.data(), name.size()});
    return value != nullptr && value->is_string() ? std::string(value->as_string()) : std::string();
}

std::vector<std::string> texts_of(const json::value& value) {
    std::vector<std::string> texts;
    if (value.is_string()) texts.emplace_back(value.as_string());
    if (value.is_array())
        for (const json::value& one : value.as_array())
            if (one.is_string()) texts.emplace_back(one.as_string());
    return texts;
}

/// A member of the arguments, and the feature that it gives a value.
struct Argument {
    CommandId command;
    std::string_view member;
    std::string_view feature;
};
constexpr std::array kArguments{Argument{CommandId::kFileOpen, "path", "path"},
                                Argument{CommandId::kFileOpen, "mode", "mode"},
                                Argument{CommandId::kShutdown, "mode", "mode"},
                                Argument{CommandId::kExec, "path", "program"},
                                Argument{CommandId::kExec, "arg", "arg"},
                                Argument{CommandId::kExec, "env", "env"},
                                Argument{CommandId::kFsfreezeFreezeList, "mountpoints", "mount"},
                                Argument{CommandId::kSetUserPassword, "username", "user"},
                                Argument{CommandId::kSshGetAuthorizedKeys, "username", "user"},
                                Argument{CommandId::kSshAddAuthorizedKeys, "username", "user"},
                                Argument{CommandId::kSshRemoveAuthorizedKeys, "username", "user"}};

std::int64_t integer_of(const json::object& object, std::string_view name) {
    const json::value* value = object.if_contains({name.data(), name.size()});
    if (value != nullptr && value->is_int64()) return value->as_int64();
    return value != nullptr && value->is_uint64() ? static_cast<std::int64_t>(value->as_uint64()) : 0;
}

/// The nearest that there is.
std::int64_t product_of(std::int64_t number, std::int64_t unit) {
    std::int64_t product = 0;
    if (!__builtin_mul_overflow(number, unit, &product)) return product;
    return number < 0 ? INT64_MIN : INT64_MAX;
}

bool flag_of(const json::object& object, std::string_view name) {
    const json::value* value = object.if_contains({name.data(), name.size()});
    return value != nullptr && value->is_bool() && value->as_bool();
}

/// The clock goes by the time of the request.
void read_settings(const json::object& arguments, Request& request) {
    std::int64_t step = 0;
    const bool has_time = request.command == CommandId::kSetTime && arguments.contains("time");
    if (has_time && !__builtin_sub_overflow(integer_of(arguments, "time"),
                                            product_of(request.time, 1'000'000'000), &step))
        request.set.step_ns = step;
    const bool has_cpus = request.command == CommandId::kSetVcpus;
    if (!has_cpus && request.command != CommandId::kSetMemoryBlocks) return;
    const json::value* list = arguments.if_contains(has_cpus ? "vcpus" : "mem-blks");
    if (list == nullptr || !list->is_array()) return;
    for (const json::value& one : list->as_array())
        if (one.is_object())
            request.set.numbers.push_back(static_cast<std::uint64_t>(
                integer_of(one.as_object(), has_cpus ? "logical-id" : "phys-index")));
}

void read_account(const json::object& arguments, Request& request) {
    request.account.crypted = flag_of(arguments, "crypted");
    request.account.reset = flag_of(arguments, "reset");
    if (const json::value* keys = arguments.if_contains("keys")) request.account.keys = texts_of(*keys);
}

Read read_arguments(const json::object& arguments, Request& request) {
    for (const auto& [command, member, feature] : kArguments) {
        const json::value* value = arguments.if_contains({member.data(), member.size()});
        if (command != request.command || value == nullptr) continue;
        if (feature == "env") request.exec.env.emplace();
        for (const std::string& text : texts_of(*value)) {
            const auto read = analyse::read_word(request, {std::string(feature), text});
            if (!read) return read;
        }
    }
    read_settings(arguments, request);
    read_account(arguments, request);
    if (const std::string input = text_of(arguments, "input-data"); arguments.contains("input-data")) {
        const auto padding = static_cast<std::size_t>(std::ranges::count(input, '='));
        request.exec.input = input.size() / 4 * 3 - std::min(padding, input.size() / 4 * 3);
    }
    return {};
}

std::expected<CommandId, std::string> command_named(const std::string& name) {
    const auto command = find_command(name);
    if (!command) return std::unexpected("unknown command " + compile::quoted(name));
    return *command;
}

std::expected<LoggedDecision, std::string> decision_of(const log::Record& record) {
    auto asked = log::asked_of(record);
    if (!asked) return std::unexpected(asked.error());
    return LoggedDecision{
        .request = std::move(asked->request),
        .verdict = log::unescaped(record.verdict),
        .rule = log::unescaped(record.rule),
        .reason = log::unescaped(record.reason),
        .policy = log::unescaped(record.policy),
        .is_exact = asked->is_exact && record.arguments.find("\"env\"") == std::string_view::npos};
}

}  // namespace

std::expected<Request, std::string> read_host_line(std::string_view line, const Request& from) {
    const auto object = parse(line);
    if (!object) return std::unexpected(object.error());
    Request request = from;
    const auto command = command_named(text_of(*object, "execute"));
    if (!command) return std::unexpected(command.error());
    request.command = *command;
    const json::value* arguments = object->if_contains("arguments");
    if (arguments == nullptr) return request;
    if (!arguments->is_object()) return std::unexpected("'arguments' is no object");
    const auto read = read_arguments(arguments->as_object(), request);
    if (!read) return std::unexpected(read.error());
    return request;
}

std::expected<LoggedDecision, std::string> find_decision(FdRef file, std::string_view id) {
    const std::size_t dash = id.rfind('-');
    if (dash == id.npos)
        return std::unexpected("an id has the form RUN-SEQ, as the members run and seq of a line");
    const std::string_view run = id.substr(0, dash);
    std::uint64_t seq = 0;
    const auto number = id.substr(dash + 1);
    std::from_chars(number.data(), number.data() + number.size(), seq);
    log::Lines lines(file);
    std::string_view line;
    for (log::Lines::Got got{}; (got = lines.next(line)) != log::Lines::Got::kEnd;) {
        if (got == log::Lines::Got::kFault) return std::unexpected(std::string(std::strerror(errno)));
        log::Record record;
        if (got == log::Lines::Got::kLine && log::read_record(line, record) && record.run == run &&
            record.seq == seq)
            return decision_of(record);
    }
    return std::unexpected("the log has no decision " + compile::quoted(id));
}

}  // namespace sallyport::policy::cli
