// guest-get-time, guest-get-host-name, guest-get-timezone, guest-get-osinfo.
#include <sys/utsname.h>

#include <array>
#include <cerrno>
#include <ctime>

#include "inspector/files.hpp"
#include "inspector/os_release.hpp"
#include "inspector/queries.hpp"
#include "inspector/text.hpp"

namespace sallyport::inspector {

Status get_time(const Sources&, schema::GetTimeReply& reply) {
    timespec now{};
    if (::clock_gettime(CLOCK_REALTIME, &now) != 0) return system_error("clock_gettime");
    // Rounded to microseconds, like qemu-ga.
    reply.set_nanoseconds(std::int64_t{now.tv_sec} * 1'000'000'000 + now.tv_nsec / 1000 * 1000);
    return {};
}

Status get_host_name(const Sources&, schema::GetHostNameReply& reply) {
    utsname names{};
    if (::uname(&names) != 0) return system_error("uname");
    reply.set_host_name(to_utf8(names.nodename));
    return {};
}

Status get_timezone(const Sources& sources, schema::GetTimezoneReply& reply) {
    // Here the C library would report UTC.
    if (sources.local_time.sys_errno != 0)
        return std::unexpected(Error{Errc::kSystem, "/etc/localtime", sources.local_time.sys_errno});
    // The zone is the one read before the lockdown.
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
    // If the file cannot be read or is not a regular file, its members are left out; those from the kernel are known.
    const std::string text = read_replaced(sources.os_release).value_or("");
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
    const OsRelease release = read_os_release(text);
    for (const auto& [key, member] : kMembers)
        if (const auto found = release.find(key); found != release.end())
            *(reply.*member)() = to_utf8(found->second);
    return {};
}

}  // namespace sallyport::inspector
