// guest-network-get-route. From /proc, whose columns are the members of the reply; netlink has no use counts.
#include <arpa/inet.h>

#include <array>
#include <cstring>

#include "inspector/files.hpp"
#include "inspector/queries.hpp"
#include "inspector/text.hpp"

namespace sallyport::inspector {

namespace {

using Route = schema::NetworkGetRouteReply::Route;
using Words = std::vector<std::string_view>;

constexpr std::size_t kIpv4Columns = 11;
constexpr std::size_t kIpv6Columns = 10;

std::int64_t number(std::string_view text, int base) {
    return to_number<std::uint32_t>(text, base).value_or(0);
}

// The address in the byte order of the kernel's memory.
std::string ipv4_text(std::string_view hexadecimal) {
    const in_addr address{.s_addr = to_number<std::uint32_t>(hexadecimal, 16).value_or(0)};
    std::array<char, INET_ADDRSTRLEN> text{};
    ::inet_ntop(AF_INET, &address, text.data(), text.size());
    return text.data();
}

// 32 digits in the order of the address.
std::string ipv6_text(std::string_view hexadecimal) {
    in6_addr address{};
    for (std::size_t at = 0; at < sizeof address.s6_addr && 2 * at + 2 <= hexadecimal.size(); ++at)
        address.s6_addr[at] = to_number<std::uint8_t>(hexadecimal.substr(2 * at, 2), 16).value_or(0);
    std::array<char, INET6_ADDRSTRLEN> text{};
    ::inet_ntop(AF_INET6, &address, text.data(), text.size());
    return text.data();
}

// Iface Destination Gateway Flags RefCnt Use Metric Mask MTU Window IRTT
void put_ipv4(const Words& words, Route& route) {
    route.set_version(4);
    route.set_iface(to_utf8(words[0]));
    route.set_destination(ipv4_text(words[1]));
    route.set_gateway(ipv4_text(words[2]));
    route.set_flags(static_cast<std::uint64_t>(number(words[3], 16)));
    route.set_refcnt(number(words[4], 10));
    route.set_use(number(words[5], 10));
    route.set_metric(number(words[6], 10));
    route.set_mask(ipv4_text(words[7]));
    route.set_mtu(number(words[8], 10));
    route.set_window(number(words[9], 10));
    route.set_irtt(number(words[10], 10));
}

// destination length source length nexthop metric refcnt use flags iface
void put_ipv6(const Words& words, Route& route) {
    route.set_version(6);
    route.set_iface(to_utf8(words[9]));
    route.set_destination(ipv6_text(words[0]));
    route.set_desprefixlen(std::to_string(number(words[1], 16)));
    route.set_source(ipv6_text(words[2]));
    route.set_srcprefixlen(std::to_string(number(words[3], 16)));
    route.set_nexthop(ipv6_text(words[4]));
    route.set_metric(number(words[5], 16));
    route.set_refcnt(number(words[6], 16));
    route.set_use(number(words[7], 16));
    route.set_flags(static_cast<std::uint64_t>(number(words[8], 16)));
}

}  // namespace

Status network_get_route(const Sources& sources, schema::NetworkGetRouteReply& reply) {
    const auto ipv4 = read_whole(sources.ipv4_routes);
    if (!ipv4) return std::unexpected(ipv4.error());
    const auto ipv6 = read_whole(sources.ipv6_routes);
    if (!ipv6) return std::unexpected(ipv6.error());
    bool is_head = true;
    for (const std::string_view line : lines_of(*ipv4)) {
        const Words words = words_of(line);
        if (!std::exchange(is_head, false) && words.size() >= kIpv4Columns)
            put_ipv4(words, *reply.add_routes());
    }
    for (const std::string_view line : lines_of(*ipv6))
        if (const Words words = words_of(line); words.size() >= kIpv6Columns)
            put_ipv6(words, *reply.add_routes());
    return {};
}

}  // namespace sallyport::inspector
