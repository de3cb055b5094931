#include "inspector/sources.hpp"

#include <fcntl.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <ctime>

#include "inspector/files.hpp"
#include "inspector/needs.hpp"

namespace sallyport::inspector {

namespace {

struct Source {
    CommandId command;
    UniqueFd Sources::* member;
    const char* path;
};

struct Names {
    CommandId command;
    Replaced Sources::* member;
    std::array<const char*, 2> paths;  // the first that exists; if it cannot be opened, the next
};

// clang-format off
constexpr std::array kSources{
    Source{CommandId::kGetFsinfo,       &Sources::mounts,      "/proc/self/mountinfo"},
    Source{CommandId::kGetDiskstats,    &Sources::diskstats,   "/proc/diskstats"},
    Source{CommandId::kGetCpustats,     &Sources::cpu_stat,    "/proc/stat"},
    Source{CommandId::kGetLoad,         &Sources::load,        "/proc/loadavg"},
    Source{CommandId::kNetworkGetRoute, &Sources::ipv4_routes, "/proc/self/net/route"},
    Source{CommandId::kNetworkGetRoute, &Sources::ipv6_routes, "/proc/self/net/ipv6_route"},
};

constexpr std::array kReplaced{
    Names{CommandId::kGetUsers,    &Sources::users,      {"/var/run/utmp"}},
    Names{CommandId::kGetOsinfo,   &Sources::os_release, {"/etc/os-release", "/usr/lib/os-release"}},
    Names{CommandId::kGetTimezone, &Sources::local_time, {"/etc/localtime"}},
};
// clang-format on
static_assert(std::ranges::all_of(kReplaced, follows_links, &Names::command));

constexpr int kReadOnly = O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK;

// The clock of a file system may be so coarse. Who wrote a file so lately can write it again, and nothing shows it.
constexpr std::time_t kTick = 2;

Seen look(const char* path) {
    Seen seen;
    if (path == nullptr || ::stat(path, &seen.info) != 0) seen.sys_errno = path == nullptr ? ENOENT : errno;
    return seen;
}

bool is_same(const timespec& one, const timespec& other) {
    return one.tv_sec == other.tv_sec && one.tv_nsec == other.tv_nsec;
}

// The same file, and nobody has written it or changed its mode.
bool is_same(const Seen& one, const Seen& other) {
    if (one.sys_errno != 0 || other.sys_errno != 0) return one.sys_errno == other.sys_errno;
    return one.info.st_dev == other.info.st_dev && one.info.st_ino == other.info.st_ino &&
           one.info.st_size == other.info.st_size && is_same(one.info.st_mtim, other.info.st_mtim) &&
           is_same(one.info.st_ctim, other.info.st_ctim);
}

void open_first(const Names& names, Replaced& source) {
    std::ranges::transform(names.paths, source.seen.begin(), look);
    ::clock_gettime(CLOCK_REALTIME, &source.opened_at);
    for (const char* path : names.paths) {
        if (path == nullptr) break;
        source.file.reset(::open(path, kReadOnly));
        source.sys_errno = source.file.is_open() || errno == ENOENT ? 0 : errno;
        if (source.file.is_open()) break;
    }
}

}  // namespace

Sources open_sources(CommandSet commands) {
    Sources sources;
    for (const auto& [command, member, path] : kSources)
        if (commands.has(command)) (sources.*member).reset(::open(path, kReadOnly));
    return sources;
}

void open_replaced(CommandSet commands, Sources& sources) {
    for (const Names& names : kReplaced)
        if (commands.has(names.command)) open_first(names, sources.*names.member);
    if (commands.has(CommandId::kGetTimezone)) ::tzset();
}

bool is_up_to_date(CommandId command, const Sources& sources) {
    const auto* names = std::ranges::find(kReplaced, command, &Names::command);
    if (names == kReplaced.end()) return true;
    const Replaced& source = sources.*names->member;
    for (std::size_t at = 0; at < source.seen.size(); ++at) {
        const Seen& seen = source.seen[at];
        const bool is_settled =
            seen.sys_errno != 0 || seen.info.st_ctim.tv_sec < source.opened_at.tv_sec - kTick;
        if (!is_settled || !is_same(seen, look(names->paths[at]))) return false;
    }
    return true;
}

Result<std::string> read_replaced(const Replaced& source) {
    if (source.sys_errno != 0) return std::unexpected(Error{Errc::kSystem, "open", source.sys_errno});
    return read_whole(source.file);
}

}  // namespace sallyport::inspector
