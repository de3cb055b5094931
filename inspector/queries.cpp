#include "inspector/queries.hpp"

#include <algorithm>
#include <array>

namespace sallyport::inspector {

namespace {

using Reply = schema::Inspected;

struct Query {
    CommandId command;
    Status (*run)(const Sources& sources, Reply& reply);
};

// Fills the member of the reply that `member` selects.
template <auto member, auto query>
Status run(const Sources& sources, Reply& reply) {
    return query(sources, *(reply.*member)());
}

// clang-format off
constexpr std::array kQueries{
    Query{CommandId::kGetTime,               run<&Reply::mutable_get_time, get_time>},
    Query{CommandId::kNetworkGetInterfaces,  run<&Reply::mutable_network_get_interfaces, network_get_interfaces>},
    Query{CommandId::kGetVcpus,              run<&Reply::mutable_get_vcpus, get_vcpus>},
    Query{CommandId::kGetDisks,              run<&Reply::mutable_get_disks, get_disks>},
    Query{CommandId::kGetFsinfo,             run<&Reply::mutable_get_fsinfo, get_fsinfo>},
    Query{CommandId::kGetMemoryBlocks,       run<&Reply::mutable_get_memory_blocks, get_memory_blocks>},
    Query{CommandId::kGetMemoryBlockInfo,    run<&Reply::mutable_get_memory_block_info, get_memory_block_info>},
    Query{CommandId::kGetHostName,           run<&Reply::mutable_get_host_name, get_host_name>},
    Query{CommandId::kGetUsers,              run<&Reply::mutable_get_users, get_users>},
    Query{CommandId::kGetTimezone,           run<&Reply::mutable_get_timezone, get_timezone>},
    Query{CommandId::kGetOsinfo,             run<&Reply::mutable_get_osinfo, get_osinfo>},
    Query{CommandId::kGetDiskstats,          run<&Reply::mutable_get_diskstats, get_diskstats>},
    Query{CommandId::kGetCpustats,           run<&Reply::mutable_get_cpustats, get_cpustats>},
    Query{CommandId::kGetLoad,               run<&Reply::mutable_get_load, get_load>},
    Query{CommandId::kNetworkGetRoute,       run<&Reply::mutable_network_get_route, network_get_route>},
};
// clang-format on

}  // namespace

Status answer(const Sources& sources, CommandId command, schema::Inspected& reply) {
    const auto* query = std::ranges::find(kQueries, command, &Query::command);
    SALLYPORT_CHECK(query != kQueries.end());
    return query->run(sources, reply);
}

bool is_query(CommandId command) {
    return std::ranges::find(kQueries, command, &Query::command) != kQueries.end();
}

}  // namespace sallyport::inspector
