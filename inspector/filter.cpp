#include "inspector/filter.hpp"

#include <algorithm>
#include <array>
#include <string>

namespace sallyport::inspector {

namespace {

using Is = ipc::ReplyFilter;
using Reply = schema::Inspected;

template <typename Message>
struct Optional {
    Is::Member member;
    void (Message::*clear)();
};

template <typename Message, std::size_t count>
void clear(const Members& without, const std::array<Optional<Message>, count>& members, Message& message) {
    for (const auto& [member, clear_it] : members)
        if (without[static_cast<std::size_t>(member)]) (message.*clear_it)();
}

// What is asked, and which names in a filter are about the items of this reply.
struct Known {
    const Asked& asked;
    Names names;
};

// Removes hidden items from `list`, and hidden members from the others through `clear_members`.
template <typename List, typename NameOf, typename ClearMembers>
void keep_shown(List& list, const Known& known, NameOf name_of, ClearMembers clear_members) {
    const auto is_hidden = [&](auto& one) {
        const auto [is_shown, without] = shown(known.asked, known.names, name_of(one));
        if (is_shown) clear_members(without, one);
        return !is_shown;
    };
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

// An alias such as eth0:1 is shown if its interface is.
std::string_view interface_name(std::string_view name) {
    return name.substr(0, name.find(':'));
}

void clear_of_filesystem(const Members& without, Filesystem& filesystem) {
    clear(without, kOfFilesystem, filesystem);
    for (Address& address : *filesystem.mutable_disk()) clear(without, kOfAddress, address);
}

void clear_of_disk(const Members& without, Disk& disk) {
    clear(without, kOfDisk, disk);
    if (disk.has_address()) clear(without, kOfAddress, *disk.mutable_address());
}

constexpr auto kNothingToClear = [](const Members&, auto&) {};

}  // namespace

void filter_reply(const Asked& asked, schema::Inspected& reply) {
    const auto without = shown(asked).without;
    switch (reply.result_case()) {
        case Reply::kNetworkGetInterfaces:
            return keep_shown(
                *reply.mutable_network_get_interfaces()->mutable_interfaces(), Known{asked, &Is::interfaces},
                [](const Interface& one) { return interface_name(one.name()); },
                [](const Members& less, Interface& one) { clear(less, kOfInterface, one); });
        case Reply::kNetworkGetRoute:
            return keep_shown(
                *reply.mutable_network_get_route()->mutable_routes(), Known{asked, &Is::interfaces},
                [](const auto& one) { return std::string_view(one.iface()); }, kNothingToClear);
        case Reply::kGetFsinfo:
            return keep_shown(
                *reply.mutable_get_fsinfo()->mutable_filesystems(), Known{asked, &Is::mounts},
                [](const Filesystem& one) { return std::string_view(one.mountpoint()); },
                clear_of_filesystem);
        case Reply::kGetUsers:
            return keep_shown(
                *reply.mutable_get_users()->mutable_users(), Known{asked, &Is::users},
                [](const auto& one) { return std::string_view(one.user()); }, kNothingToClear);
        case Reply::kGetDisks:
            for (Disk& disk : *reply.mutable_get_disks()->mutable_disks()) clear_of_disk(without, disk);
            return;
        case Reply::kGetTimezone:
            return clear(without, kOfTimezone, *reply.mutable_get_timezone());
        case Reply::kGetOsinfo:
            return clear(without, kOfOsinfo, *reply.mutable_get_osinfo());
        default:
            return;  // the other replies have no names or members to leave out
    }
}

}  // namespace sallyport::inspector
