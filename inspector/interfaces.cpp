// guest-network-get-interfaces, by rtnetlink.
#include <arpa/inet.h>
#include <libmnl/libmnl.h>
#include <linux/if_addr.h>
#include <linux/if_link.h>
#include <linux/rtnetlink.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <map>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "inspector/queries.hpp"
#include "inspector/text.hpp"

namespace sallyport::inspector {

namespace {

using InterfacesReply = schema::NetworkGetInterfacesReply;
using Socket = std::unique_ptr<mnl_socket, int (*)(mnl_socket*)>;

constexpr std::size_t kHardwareAddress = 6;  // like qemu-ga, whatever the device's length
constexpr std::size_t kBuffer = 32768;
// The kernel says so if its list changed during a dump and may be incomplete. Where containers come and go that never ends. After
// this many dumps the result is used, like in the C library.
constexpr int kLooks = 5;

struct Link {
    std::string name;
    std::array<unsigned char, kHardwareAddress> hardware{};
    rtnl_link_stats64 statistics{};
    bool has_statistics = false;
};

struct IpAddress {
    unsigned link = 0;
    std::string label;  // IPv4 only: may be another name, such as eth0:1
    InterfacesReply::Address value;
};

struct Network {
    std::vector<unsigned> order;
    std::map<unsigned, Link> links;
    std::vector<IpAddress> addresses;
};

template <typename Kernel>
const Kernel* body_of(const nlmsghdr* message) {
    return static_cast<const Kernel*>(mnl_nlmsg_get_payload(message));
}

int take_link_attribute(const nlattr* attribute, void* data) {
    Link& link = *static_cast<Link*>(data);
    const void* payload = mnl_attr_get_payload(attribute);
    const std::size_t size = mnl_attr_get_payload_len(attribute);
    switch (mnl_attr_get_type(attribute)) {
        case IFLA_IFNAME:
            link.name = mnl_attr_get_str(attribute);
            break;
        case IFLA_ADDRESS:
            std::memcpy(link.hardware.data(), payload, std::min(size, link.hardware.size()));
            break;
        case IFLA_STATS64:
            std::memcpy(&link.statistics, payload, std::min(size, sizeof link.statistics));
            link.has_statistics = true;
            break;
        default:
            break;
    }
    return MNL_CB_OK;
}

int take_link(const nlmsghdr* message, void* data) {
    Network& network = *static_cast<Network*>(data);
    const auto index = static_cast<unsigned>(body_of<ifinfomsg>(message)->ifi_index);
    Link link;
    mnl_attr_parse(message, sizeof(ifinfomsg), take_link_attribute, &link);
    if (!network.links.contains(index)) network.order.push_back(index);
    network.links[index] = std::move(link);
    return MNL_CB_OK;
}

struct AddressAttributes {
    const nlattr* address = nullptr;
    const nlattr* local = nullptr;
    const nlattr* label = nullptr;
};

int take_address_attribute(const nlattr* attribute, void* data) {
    auto& found = *static_cast<AddressAttributes*>(data);
    if (mnl_attr_get_type(attribute) == IFA_ADDRESS) found.address = attribute;
    if (mnl_attr_get_type(attribute) == IFA_LOCAL) found.local = attribute;
    if (mnl_attr_get_type(attribute) == IFA_LABEL) found.label = attribute;
    return MNL_CB_OK;
}

int take_address(const nlmsghdr* message, void* data) {
    const auto* body = body_of<ifaddrmsg>(message);
    const bool is_ipv4 = body->ifa_family == AF_INET;
    if (!is_ipv4 && body->ifa_family != AF_INET6) return MNL_CB_OK;
    AddressAttributes found;
    mnl_attr_parse(message, sizeof(ifaddrmsg), take_address_attribute, &found);
    // On a point-to-point link IFA_ADDRESS is the peer's address.
    const nlattr* ours = found.local != nullptr ? found.local : found.address;
    const std::size_t size = is_ipv4 ? sizeof(in_addr) : sizeof(in6_addr);
    if (ours == nullptr || mnl_attr_get_payload_len(ours) < size) return MNL_CB_OK;
    std::array<char, INET6_ADDRSTRLEN> text{};
    ::inet_ntop(body->ifa_family, mnl_attr_get_payload(ours), text.data(), text.size());
    IpAddress address{.link = body->ifa_index};
    if (found.label != nullptr) address.label = mnl_attr_get_str(found.label);
    address.value.set_ip_address_type(is_ipv4 ? InterfacesReply::Address::IPV4
                                              : InterfacesReply::Address::IPV6);
    address.value.set_ip_address(text.data());
    address.value.set_prefix(body->ifa_prefixlen);
    static_cast<Network*>(data)->addresses.push_back(std::move(address));
    return MNL_CB_OK;
}

enum class Changes : std::uint8_t { kRefused, kTaken };

struct Source {
    const Socket& socket;
    Changes changes;
};

// libmnl ends a list at the flag NLM_F_DUMP_INTR.
void take_mark_away(std::span<char> messages) {
    auto* message = reinterpret_cast<nlmsghdr*>(messages.data());
    for (int left = static_cast<int>(messages.size()); mnl_nlmsg_ok(message, left);
         message = mnl_nlmsg_next(message, &left))
        message->nlmsg_flags &= static_cast<std::uint16_t>(~NLM_F_DUMP_INTR);
}

// A netlink socket without an address talks to the kernel; the filter allows nothing else.
Status dump(const Source& source, std::uint16_t type, mnl_cb_t take, Network& network) {
    std::vector<char> buffer(kBuffer);
    nlmsghdr* request = mnl_nlmsg_put_header(buffer.data());
    request->nlmsg_type = type;
    request->nlmsg_flags = NLM_F_REQUEST | NLM_F_DUMP;
    request->nlmsg_seq = type;
    mnl_nlmsg_put_extra_header(request, sizeof(ifinfomsg));
    if (::send(mnl_socket_get_fd(source.socket.get()), request, request->nlmsg_len, 0) < 0)
        return system_error("send");
    for (;;) {
        // Not with libmnl, whose call could also receive a descriptor.
        const ssize_t got =
            ::recv(mnl_socket_get_fd(source.socket.get()), buffer.data(), buffer.size(), MSG_TRUNC);
        if (got <= 0) return system_error("recv");
        const auto size = static_cast<std::size_t>(got);
        if (size > buffer.size()) return failure(Errc::kLimit, "netlink: message too large");
        if (source.changes == Changes::kTaken) take_mark_away(std::span(buffer).first(size));
        const int more = mnl_cb_run(buffer.data(), size, type, 0, take, &network);
        if (more < MNL_CB_STOP) return system_error("netlink");
        if (more == MNL_CB_STOP) return {};
    }
}

Result<Network> look_at_network(Changes changes) {
    const Socket socket(mnl_socket_open2(NETLINK_ROUTE, SOCK_CLOEXEC), mnl_socket_close);
    if (!socket) return system_error("netlink socket");
    Network network;
    if (const auto done = dump({socket, changes}, RTM_GETLINK, take_link, network); !done)
        return std::unexpected(done.error());
    if (const auto done = dump({socket, changes}, RTM_GETADDR, take_address, network); !done)
        return std::unexpected(done.error());
    return network;
}

std::string hardware_text(const Link& link) {
    std::string text;
    std::array<char, 4> byte{};
    for (const unsigned char one : link.hardware) {
        std::snprintf(byte.data(), byte.size(), "%02x", one);
        if (!text.empty()) text += ':';
        text += byte.data();
    }
    return text;
}

// The kernel's own sums: /proc/net/dev counts missed packets as dropped.
void put_statistics(const rtnl_link_stats64& from, InterfacesReply::Statistics& to) {
    to.set_rx_bytes(from.rx_bytes);
    to.set_rx_packets(from.rx_packets);
    to.set_rx_errs(from.rx_errors);
    to.set_rx_dropped(from.rx_dropped + from.rx_missed_errors);
    to.set_tx_bytes(from.tx_bytes);
    to.set_tx_packets(from.tx_packets);
    to.set_tx_errs(from.tx_errors);
    to.set_tx_dropped(from.tx_dropped);
}

class Interfaces {
public:
    explicit Interfaces(InterfacesReply& reply) : reply_(reply) {}

    InterfacesReply::Interface& of(const std::string& raw_name, const Link& link) {
        auto& found = by_name_[raw_name];
        if (found == nullptr) {
            found = reply_.add_interfaces();
            found->set_name(to_utf8(raw_name));
            found->set_hardware_address(hardware_text(link));
        }
        return *found;
    }

private:
    InterfacesReply& reply_;
    std::map<std::string, InterfacesReply::Interface*> by_name_;
};

}  // namespace

Status network_get_interfaces(const Sources&, InterfacesReply& reply) {
    auto looked = look_at_network(Changes::kRefused);
    for (int look = 2; !looked && looked.error().sys_errno == EINTR && look <= kLooks; ++look)
        looked = look_at_network(look < kLooks ? Changes::kRefused : Changes::kTaken);
    if (!looked) return std::unexpected(looked.error());
    Network& network = *looked;
    Interfaces interfaces(reply);
    for (const unsigned index : network.order) interfaces.of(network.links[index].name, network.links[index]);
    for (const IpAddress& address : network.addresses) {
        const auto link = network.links.find(address.link);
        if (link == network.links.end()) continue;  // it was created after the dump of the links
        const std::string& name = address.label.empty() ? link->second.name : address.label;
        InterfacesReply::Interface& interface = interfaces.of(name, link->second);
        *interface.mutable_ip_addresses()->add_addresses() = address.value;
        if (link->second.has_statistics && name == link->second.name)
            put_statistics(link->second.statistics, *interface.mutable_statistics());
    }
    return {};
}

}  // namespace sallyport::inspector
