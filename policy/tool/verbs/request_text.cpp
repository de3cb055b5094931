#include "policy/tool/verbs/request_text.hpp"

#include <unistd.h>

#include <algorithm>
#include <array>
#include <boost/json.hpp>
#include <cerrno>
#include <charconv>
#include <cstring>
#include <memory>

#include "policy/tool/analyse/feature.hpp"
#include "policy/tool/analyse/words.hpp"
#include "policy/tool/compile/problems.hpp"

namespace sallyport::policy::cli {

namespace {

namespace json = boost::json;
using analyse::Request;
using Read = std::expected<void, std::string>;

constexpr std::size_t kMaxLine = std::size_t{1} << 20U;
constexpr std::size_t kKeysShown = 4096;   // bytes of a line of the log
constexpr std::size_t kItemsShown = 1024;  // the same, of processors and blocks

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

/// The blanks in a line of the log are both those between words and those in them.
bool read_logged_words(const json::object& arguments, Request& request) {
    const std::string text = text_of(arguments, "arg");
    const json::value* count = arguments.if_contains("args");
    for (std::size_t at = 0; at < text.size();) {
        const std::size_t end = std::min(text.find(' ', at), text.size());
        request.exec.args.push_back(text.substr(at, end - at));
        at = end + 1;
    }
    return count == nullptr || !count->is_int64() ||
           static_cast<std::size_t>(count->as_int64()) == request.exec.args.size();
}

/// The elements of a list that a line of the log has as one text.
std::vector<std::string> parts_of(const std::string& text, char end_of_part) {
    std::vector<std::string> parts;
    for (std::size_t at = 0; at < text.size();) {
        const std::size_t end = std::min(text.find(end_of_part, at), text.size());
        parts.push_back(text.substr(at, end - at));
        at = end + 1;
    }
    return parts;
}

bool is_order(CommandId command) {
    const auto subject = analyse::subject_of(command);
    return subject == analyse::Subject::kAccounts || subject == analyse::Subject::kClock ||
           subject == analyse::Subject::kProcessors || subject == analyse::Subject::kBlocks;
}

/// Whether that is the whole request: of long lists the log has the beginning.
bool read_logged_order(const json::object& arguments, Request& request) {
    if (const std::string user = text_of(arguments, "user"); !user.empty()) request.account.user = user;
    request.account.crypted = text_of(arguments, "crypted") == "yes";
    request.account.reset = text_of(arguments, "reset") == "yes";
    const std::string keys = text_of(arguments, "keys");
    request.account.keys = parts_of(keys, '\n');
    if (arguments.contains("step_ms"))
        request.set.step_ns = product_of(integer_of(arguments, "step_ms"), 1'000'000);
    const std::string set = text_of(arguments, "set");
    for (const std::string& part : parts_of(set, ' ')) {
        std::int64_t number = 0;
        std::from_chars(part.data(), part.data() + part.size(), number);
        request.set.numbers.push_back(static_cast<std::uint64_t>(number));
    }
    const std::size_t count = request.account.keys.size() + request.set.numbers.size();
    return keys.size() < kKeysShown && set.size() < kItemsShown &&
           integer_of(arguments, "count") == static_cast<std::int64_t>(count);
}

std::expected<LoggedDecision, std::string> read_decision(std::string_view line) {
    const auto object = parse(line);
    if (!object) return std::unexpected(object.error());
    LoggedDecision decision{.verdict = text_of(*object, "verdict"),
                            .rule = text_of(*object, "rule"),
                            .reason = text_of(*object, "reason"),
                            .policy = text_of(*object, "policy")};
    const auto command = command_named(text_of(*object, "what"));
    if (!command) return std::unexpected("that line is about no command");
    decision.request.command = *command;
    if (const auto time = analyse::read_time(text_of(*object, "time"))) decision.request.time = *time;
    decision.is_exact = !object->contains("shortened");
    const json::value* arguments = object->if_contains("arguments");
    if (arguments == nullptr || !arguments->is_object()) return decision;
    json::object given = arguments->as_object();
    if (*command == CommandId::kExec) {
        decision.is_exact &= read_logged_words(given, decision.request) && !given.contains("env");
        if (const json::value* input = given.if_contains("input"); input != nullptr && input->is_int64())
            decision.request.exec.input = static_cast<std::uint64_t>(input->as_int64());
        given.erase("arg");
        given.erase("env");
    }
    if (is_order(*command)) {
        decision.is_exact &= read_logged_order(given, decision.request);
        return decision;
    }
    const auto read = read_arguments(given, decision.request);
    if (!read) return std::unexpected(read.error());
    return decision;
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

std::expected<LoggedDecision, std::string> find_decision(FdRef log, std::string_view id) {
    const std::size_t dash = id.rfind('-');
    if (dash == id.npos)
        return std::unexpected("an id has the form RUN-SEQ, as the members run and seq of a line");
    const std::string wanted = "\"run\":\"" + std::string(id.substr(0, dash)) +
                               "\",\"seq\":" + std::string(id.substr(dash + 1)) + ",";
    std::string held;
    const auto buffer = std::make_unique<std::array<char, 65536>>();
    for (;;) {
        const ssize_t got = ::read(log.get(), buffer->data(), buffer->size());
        if (got < 0 && errno == EINTR) continue;
        if (got < 0) return std::unexpected(std::string(std::strerror(errno)));
        held.append(buffer->data(), static_cast<std::size_t>(got));
        std::size_t begin = 0;
        for (std::size_t end = 0; (end = held.find('\n', begin)) != held.npos; begin = end + 1) {
            const std::string_view line = std::string_view(held).substr(begin, end - begin);
            if (line.find(wanted) != line.npos) return read_decision(line);
        }
        held.erase(0, begin);
        if (got == 0 || held.size() > kMaxLine) break;
    }
    return std::unexpected("the log has no decision " + compile::quoted(id));
}

}  // namespace sallyport::policy::cli
