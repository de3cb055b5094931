// guest-get-time, guest-get-host-name, guest-get-timezone, guest-get-osinfo.
#include <fcntl.h>
#include <sys/utsname.h>

#include <array>
#include <cerrno>
#include <ctime>
#include <map>

#include "inspector/files.hpp"
#include "inspector/queries.hpp"
#include "inspector/text.hpp"

namespace sallyport::inspector {

namespace {

constexpr const char* kLocalTime = "/etc/localtime";

using Keys = std::map<std::string, std::string, std::less<>>;

// Single quotes and double quotes as a shell reads them; inside double quotes a backslash stands before $ " \ `.
std::string unquoted(std::string_view raw) {
    if (raw.size() >= 2 && raw.front() == '\'' && raw.back() == '\'')
        return std::string(raw.substr(1, raw.size() - 2));
    if (raw.size() < 2 || raw.front() != '"' || raw.back() != '"')
        return std::string(raw.substr(0, raw.find_first_of(" ;")));
    raw = raw.substr(1, raw.size() - 2);
    std::string text;
    for (std::size_t at = 0; at < raw.size(); ++at) {
        const bool escapes =
            raw[at] == '\\' && at + 1 < raw.size() && std::string_view("$'\"\\`").contains(raw[at + 1]);
        text += raw[escapes ? ++at : at];
    }
    return text;
}

// Nothing at all of a file that has any line which is neither `KEY=VALUE` nor a comment.
Keys read_os_release(std::string_view text) {
    Keys keys;
    for (const std::string_view line : lines_of(text)) {
        const std::size_t start = line.find_first_not_of(" \t");
        if (start == line.npos || line[start] == '#') continue;
        const std::size_t equals = line.find('=');
        if (equals == line.npos || equals == 0) return {};
        const std::size_t value = std::min(line.find_first_not_of(" \t", equals + 1), line.size());
        keys[std::string(line.substr(start, equals - start))] = unquoted(line.substr(value));
    }
    return keys;
}

}  // namespace

Status get_time(const Sources&, schema::GetTimeReply& reply) {
    timespec now{};
    if (::clock_gettime(CLOCK_REALTIME, &now) != 0) return system_error("clock_gettime");
    // Of microseconds, as qemu-ga has it.
    reply.set_nanoseconds(std::int64_t{now.tv_sec} * 1'000'000'000 + now.tv_nsec / 1000 * 1000);
    return {};
}

Status get_host_name(const Sources&, schema::GetHostNameReply& reply) {
    utsname names{};
    if (::uname(&names) != 0) return system_error("uname");
    reply.set_host_name(to_utf8(names.nodename));
    return {};
}

Status get_timezone(const Sources&, schema::GetTimezoneReply& reply) {
    // A file that was put in place of the one at our start cannot be opened. That is an error, where the C library would
    // answer UTC.
    const UniqueFd file(::open(kLocalTime, O_RDONLY | O_CLOEXEC));
    if (!file.is_open() && errno != ENOENT) return system_error(kLocalTime);
    ::tzset();
    const std::time_t now = std::time(nullptr);
    std::tm local{};
    if (::localtime_r(&now, &local) == nullptr) return system_error("localtime_r");
    reply.set_zone(to_utf8(local.tm_zone));
    reply.set_offset(local.tm_gmtoff);
    return {};
}

Status get_osinfo(const Sources& sources, schema::GetOsinfoReply& reply) {
    utsname names{};
    if (::uname(&names) != 0) return system_error("uname");
    reply.set_kernel_release(to_utf8(names.release));
    reply.set_kernel_version(to_utf8(names.version));
    reply.set_machine(to_utf8(names.machine));
    const auto text = read_whole(sources.os_release);
    if (!text) return std::unexpected(text.error());
    if (to_utf8(*text) != *text) return {};
    using Reply = schema::GetOsinfoReply;
    struct Member {
        std::string_view key;
        std::string* (Reply::*member)();
    };
    static constexpr std::array kMembers{
        Member{"ID", &Reply::mutable_id},
        Member{"NAME", &Reply::mutable_name},
        Member{"PRETTY_NAME", &Reply::mutable_pretty_name},
        Member{"VERSION", &Reply::mutable_version},
        Member{"VERSION_ID", &Reply::mutable_version_id},
        Member{"VARIANT", &Reply::mutable_variant},
        Member{"VARIANT_ID", &Reply::mutable_variant_id},
    };
    const Keys keys = read_os_release(*text);
    for (const auto& [key, member] : kMembers)
        if (const auto found = keys.find(key); found != keys.end()) *(reply.*member)() = found->second;
    return {};
}

}  // namespace sallyport::inspector
