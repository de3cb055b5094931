// Runs in:  inspector; the policy tool
#include "inspector/needs.hpp"

#include <algorithm>
#include <array>

namespace sallyport::inspector {

namespace {

struct Tree {
    CommandId command;
    sandbox::InspectorNeeds::Tree tree;
};

// clang-format off
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

}  // namespace

sandbox::InspectorNeeds needs_of(CommandSet commands) {
    sandbox::InspectorNeeds needs;
    for (const auto& [command, tree] : kTrees)
        if (commands.has(command)) needs.trees.push_back(tree);
    needs.asks_netlink = commands.has(CommandId::kNetworkGetInterfaces);
    needs.follows_links = std::ranges::any_of(
        kCommands, [&](const Command& row) { return commands.has(row.id) && follows_links(row.id); });
    return needs;
}

}  // namespace sallyport::inspector
