#include "inspector/queries.hpp"

#include <array>
#include <cerrno>

namespace sallyport::inspector {

namespace {

using Op = ipc::Request;

struct Query {
    ipc::Request::CommandCase command;
    Status (*run)(const Sources& sources, ipc::Reply& reply);
};

// Fills the member of a Reply that `member` gives.
template <auto member, auto query>
Status run(const Sources& sources, ipc::Reply& reply) {
    return query(sources, *(reply.*member)());
}

// clang-format off
constexpr std::array kQueries{
    Query{Op::kGetTime,               run<&ipc::Reply::mutable_get_time, get_time>},
    Query{Op::kNetworkGetInterfaces,  run<&ipc::Reply::mutable_network_get_interfaces, network_get_interfaces>},
    Query{Op::kGetVcpus,              run<&ipc::Reply::mutable_get_vcpus, get_vcpus>},
    Query{Op::kGetDisks,              run<&ipc::Reply::mutable_get_disks, get_disks>},
    Query{Op::kGetFsinfo,             run<&ipc::Reply::mutable_get_fsinfo, get_fsinfo>},
    Query{Op::kGetMemoryBlocks,       run<&ipc::Reply::mutable_get_memory_blocks, get_memory_blocks>},
    Query{Op::kGetMemoryBlockInfo,    run<&ipc::Reply::mutable_get_memory_block_info, get_memory_block_info>},
    Query{Op::kGetHostName,           run<&ipc::Reply::mutable_get_host_name, get_host_name>},
    Query{Op::kGetUsers,              run<&ipc::Reply::mutable_get_users, get_users>},
    Query{Op::kGetTimezone,           run<&ipc::Reply::mutable_get_timezone, get_timezone>},
    Query{Op::kGetOsinfo,             run<&ipc::Reply::mutable_get_osinfo, get_osinfo>},
    Query{Op::kGetDiskstats,          run<&ipc::Reply::mutable_get_diskstats, get_diskstats>},
    Query{Op::kGetCpustats,           run<&ipc::Reply::mutable_get_cpustats, get_cpustats>},
    Query{Op::kGetLoad,               run<&ipc::Reply::mutable_get_load, get_load>},
    Query{Op::kNetworkGetRoute,       run<&ipc::Reply::mutable_network_get_route, network_get_route>},
};
// clang-format on

}  // namespace

bool answer(const Sources& sources, const ipc::Request& request, ipc::Reply& reply) {
    for (const auto& [command, run] : kQueries) {
        if (command != request.command_case()) continue;
        if (const auto done = run(sources, reply); !done) {
            reply.clear_result();
            ipc::Error& error = *reply.mutable_error();
            error.set_reason(done.error().code == Errc::kInvalid ? ipc::NO_BLOCKS : ipc::SYSTEM);
            error.set_sys_errno(done.error().sys_errno);
        }
        return true;
    }
    return false;
}

}  // namespace sallyport::inspector
