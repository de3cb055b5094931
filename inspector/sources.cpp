#include "inspector/sources.hpp"

#include <fcntl.h>

#include <array>
#include <optional>

namespace sallyport::inspector {

namespace {

struct Source {
    CommandId command;
    UniqueFd Sources::* member;
    const char* path;
};

struct Tree {
    CommandId command;
    sandbox::InspectorNeeds::Tree tree;
};

// clang-format off
// The first that is there.
constexpr std::array kSources{
    Source{CommandId::kGetFsinfo,       &Sources::mounts,      "/proc/self/mountinfo"},
    Source{CommandId::kGetUsers,        &Sources::users,       "/var/run/utmp"},
    Source{CommandId::kGetOsinfo,       &Sources::os_release,  "/etc/os-release"},
    Source{CommandId::kGetOsinfo,       &Sources::os_release,  "/usr/lib/os-release"},
    Source{CommandId::kGetDiskstats,    &Sources::diskstats,   "/proc/diskstats"},
    Source{CommandId::kGetCpustats,     &Sources::cpu_stat,    "/proc/stat"},
    Source{CommandId::kGetLoad,         &Sources::load,        "/proc/loadavg"},
    Source{CommandId::kNetworkGetRoute, &Sources::ipv4_routes, "/proc/self/net/route"},
    Source{CommandId::kNetworkGetRoute, &Sources::ipv6_routes, "/proc/self/net/ipv6_route"},
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
    Tree{CommandId::kGetTimezone,        {.path = "/usr/share/zoneinfo"}},
    Tree{CommandId::kGetTimezone,        {.path = "/etc/localtime"}},
};
// clang-format on

}  // namespace

Sources open_sources(CommandSet commands) {
    Sources sources;
    for (const auto& [command, member, path] : kSources)
        if (commands.has(command) && !(sources.*member).is_open())
            (sources.*member).reset(::open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK));
    return sources;
}

sandbox::InspectorNeeds needs_of(CommandSet commands) {
    sandbox::InspectorNeeds needs;
    for (const auto& [command, tree] : kTrees)
        if (commands.has(command)) needs.trees.push_back(tree);
    needs.asks_netlink = commands.has(CommandId::kNetworkGetInterfaces);
    return needs;
}

}  // namespace sallyport::inspector
