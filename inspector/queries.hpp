// The queries: each fills the reply message of its command.
// Runs in:  inspector, in a child
#pragma once

#include "base/result.hpp"
#include "inspector/sources.hpp"
#include "schema/commands.hpp"
#include "schema/inspect.pb.h"

namespace sallyport::inspector {

Status get_time(const Sources& sources, schema::GetTimeReply& reply);
Status get_host_name(const Sources& sources, schema::GetHostNameReply& reply);
Status get_timezone(const Sources& sources, schema::GetTimezoneReply& reply);
Status get_osinfo(const Sources& sources, schema::GetOsinfoReply& reply);
Status get_users(const Sources& sources, schema::GetUsersReply& reply);
Status get_load(const Sources& sources, schema::GetLoadReply& reply);
Status get_cpustats(const Sources& sources, schema::GetCpustatsReply& reply);
Status get_vcpus(const Sources& sources, schema::GetVcpusReply& reply);
Status get_memory_blocks(const Sources& sources, schema::GetMemoryBlocksReply& reply);
Status get_memory_block_info(const Sources& sources, schema::GetMemoryBlockInfoReply& reply);
Status network_get_interfaces(const Sources& sources, schema::NetworkGetInterfacesReply& reply);
Status network_get_route(const Sources& sources, schema::NetworkGetRouteReply& reply);
Status get_fsinfo(const Sources& sources, schema::GetFsinfoReply& reply);
Status get_disks(const Sources& sources, schema::GetDisksReply& reply);
Status get_diskstats(const Sources& sources, schema::GetDiskstatsReply& reply);

/// Carries out the query. Errors: kInvalid if there is nothing to report; kSystem.
Status answer(const Sources& sources, CommandId command, schema::Inspected& reply);

/// Whether `command` is a query.
bool is_query(CommandId command);

}  // namespace sallyport::inspector
