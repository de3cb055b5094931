// Takes out of a reply what the policy does not show.
// Runs in:  broker, after lockdown()
// Input:    replies of the inspector in canonical form; their values are whatever the guest's users chose
#include "broker/filter.hpp"

#include <algorithm>
#include <array>

#include "policy/policy.pb.h"

namespace sallyport::broker {

namespace {

using policy::ReplyFilter;
using Is = policy::compiled::Reply;
using Names = std::vector<std::string> ReplyFilter::*;

struct Filter {
    const policy::Policy& policy;
    CommandId command;
    policy::WallTime now;
    policy::Members without;
    [[nodiscard]] bool hides(Names names, std::string_view name) const {
        return !policy::is_shown({policy, command, now}, names, name);
    }
};

template <typename Message>
struct Optional {
    Is::Member member;
    void (Message::*clear)();
};

template <typename Message, std::size_t count>
void clear(const Filter& filter, const std::array<Optional<Message>, count>& members, Message& message) {
    for (const auto& [member, clear_it] : members)
        if (filter.without[static_cast<std::size_t>(member)]) (message.*clear_it)();
}

template <typename List, typename IsHidden>
void take_out(List& list, IsHidden is_hidden) {
    list.erase(std::remove_if(list.begin(), list.end(), is_hidden), list.end());
}

using Interface = schema::NetworkGetInterfacesReply::Interface;
constexpr std::array kOfInterface{
    Optional<Interface>{Is::HARDWARE_ADDRESS, &Interface::clear_hardware_address},
    Optional<Interface>{Is::IP_ADDRESSES, &Interface::clear_ip_addresses},
    Optional<Interface>{Is::STATISTICS, &Interface::clear_statistics},
};
using Address = schema::GuestDiskAddress;
constexpr std::array kOfAddress{
    Optional<Address>{Is::SERIAL, &Address::clear_serial},
    Optional<Address>{Is::DEV, &Address::clear_dev},
};
using Filesystem = schema::GetFsinfoReply::Filesystem;
constexpr std::array kOfFilesystem{
    Optional<Filesystem>{Is::USED_BYTES, &Filesystem::clear_used_bytes},
    Optional<Filesystem>{Is::TOTAL_BYTES, &Filesystem::clear_total_bytes},
    Optional<Filesystem>{Is::TOTAL_BYTES_PRIVILEGED, &Filesystem::clear_total_bytes_privileged},
};
using Disk = schema::GetDisksReply::Disk;
constexpr std::array kOfDisk{
    Optional<Disk>{Is::ALIAS, &Disk::clear_alias},
    Optional<Disk>{Is::ADDRESS, &Disk::clear_address},
};
using Timezone = schema::GetTimezoneReply;
constexpr std::array kOfTimezone{Optional<Timezone>{Is::ZONE, &Timezone::clear_zone}};
using Osinfo = schema::GetOsinfoReply;
constexpr std::array kOfOsinfo{
    Optional<Osinfo>{Is::KERNEL_RELEASE, &Osinfo::clear_kernel_release},
    Optional<Osinfo>{Is::KERNEL_VERSION, &Osinfo::clear_kernel_version},
    Optional<Osinfo>{Is::MACHINE, &Osinfo::clear_machine},
    Optional<Osinfo>{Is::VERSION, &Osinfo::clear_version},
    Optional<Osinfo>{Is::VERSION_ID, &Osinfo::clear_version_id},
    Optional<Osinfo>{Is::VARIANT, &Osinfo::clear_variant},
    Optional<Osinfo>{Is::VARIANT_ID, &Osinfo::clear_variant_id},
    Optional<Osinfo>{Is::PRETTY_NAME, &Osinfo::clear_pretty_name},
};

void filter_interfaces(const Filter& filter, schema::NetworkGetInterfacesReply& reply) {
    take_out(*reply.mutable_interfaces(), [&](const Interface& interface) {
        // An alias, eth0:1, is shown where its interface is.
        const std::string_view name = interface.name();
        return filter.hides(&ReplyFilter::interfaces, name.substr(0, name.find(':')));
    });
    for (Interface& interface : *reply.mutable_interfaces()) clear(filter, kOfInterface, interface);
}

void filter_filesystems(const Filter& filter, schema::GetFsinfoReply& reply) {
    take_out(*reply.mutable_filesystems(), [&](const Filesystem& filesystem) {
        return filter.hides(&ReplyFilter::mounts, filesystem.mountpoint());
    });
    for (Filesystem& filesystem : *reply.mutable_filesystems()) {
        clear(filter, kOfFilesystem, filesystem);
        for (Address& address : *filesystem.mutable_disk()) clear(filter, kOfAddress, address);
    }
}

void filter_disks(const Filter& filter, schema::GetDisksReply& reply) {
    for (Disk& disk : *reply.mutable_disks()) {
        clear(filter, kOfDisk, disk);
        if (disk.has_address()) clear(filter, kOfAddress, *disk.mutable_address());
    }
}

}  // namespace

void filter_reply(const policy::Policy& policy, CommandId command, policy::WallTime now, ipc::Reply& reply) {
    const Filter filter{policy, command, now, policy::left_out({policy, command, now})};
    switch (reply.result_case()) {
        case ipc::Reply::kNetworkGetInterfaces:
            return filter_interfaces(filter, *reply.mutable_network_get_interfaces());
        case ipc::Reply::kNetworkGetRoute:
            return take_out(*reply.mutable_network_get_route()->mutable_routes(), [&](const auto& route) {
                return filter.hides(&ReplyFilter::interfaces, route.iface());
            });
        case ipc::Reply::kGetFsinfo:
            return filter_filesystems(filter, *reply.mutable_get_fsinfo());
        case ipc::Reply::kGetDisks:
            return filter_disks(filter, *reply.mutable_get_disks());
        case ipc::Reply::kGetUsers:
            return take_out(*reply.mutable_get_users()->mutable_users(),
                            [&](const auto& user) { return filter.hides(&ReplyFilter::users, user.user()); });
        case ipc::Reply::kGetTimezone:
            return clear(filter, kOfTimezone, *reply.mutable_get_timezone());
        case ipc::Reply::kGetOsinfo:
            return clear(filter, kOfOsinfo, *reply.mutable_get_osinfo());
        default:
            return;  // the other replies have neither names nor members to leave out
    }
}

}  // namespace sallyport::broker
