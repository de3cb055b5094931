#include "inspector/sources.hpp"

#include <fcntl.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <ctime>

#include "inspector/files.hpp"

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
    std::array<const char*, 2> paths;  // the first that is there; if one cannot be opened, the next
};

struct Tree {
    CommandId command;
    sandbox::InspectorNeeds::Tree tree;
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

constexpr std::array kTrees{
    Tree{CommandId::kGetVcpus,           {.path = "/sys/devices/system/cpu", .list = true}},
    Tree{CommandId::kGetMemoryBlocks,    {.path = "/sys/devices/system/memory", .list = true}},
    Tree{CommandId::kGetMemoryBlockInfo, {.path = "/sys/devices/system/memory"}},
    Tree{CommandId::kGetFsinfo,          {.path = "/sys/devices", .list = true}},
    Tree{CommandId::kGetFsinfo,          {.path = "/run/udev/data"}},
    Tree{CommandId::kGetDisks,           {.path = "/sys/block", .list = true}},
    Tree{CommandId::kGetDisks,           {.path = "/sys/devices", .list = true}},
    Tree{CommandId::kGetDisks,           {.path = "/run/udev/data"}},
};
// clang-format on

constexpr int kReadOnly = O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK;

void open_first(const Names& names, Replaced& source) {
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

Result<std::string> read_replaced(const Replaced& source) {
    if (source.sys_errno != 0) return std::unexpected(Error{Errc::kSystem, "open", source.sys_errno});
    return read_whole(source.file);
}

sandbox::InspectorNeeds needs_of(CommandSet commands) {
    sandbox::InspectorNeeds needs;
    for (const auto& [command, tree] : kTrees)
        if (commands.has(command)) needs.trees.push_back(tree);
    needs.asks_netlink = commands.has(CommandId::kNetworkGetInterfaces);
    needs.follows_links =
        std::ranges::any_of(kReplaced, [&](const Names& names) { return commands.has(names.command); });
    return needs;
}

}  // namespace sallyport::inspector
