#include "policy/tool/analyse/orders.hpp"

#include <algorithm>

namespace sallyport::policy::analyse {

namespace {

constexpr std::int64_t kNsPerSecond = 1'000'000'000;

std::int64_t sum_of(std::int64_t one, std::int64_t other) {
    std::int64_t sum = 0;
    if (!__builtin_add_overflow(one, other, &sum)) return sum;
    return one < 0 ? INT64_MIN : INT64_MAX;
}

}  // namespace

AccountRequest account_request_of(const Request& request) {
    const AccountWish& wish = request.account;
    AccountRequest want{.command = request.command, .user = wish.user, .secret = "x"};
    want.crypted = wish.crypted;
    want.reset = wish.reset && request.command == CommandId::kSshAddAuthorizedKeys;
    want.keys.assign(wish.keys.begin(), wish.keys.end());
    if (want.keys.empty()) return want;
    const std::string_view first = want.keys.front();
    want.keys.resize(std::max(want.keys.size(), wish.count), first);
    return want;
}

ipc::SetOrder set_order_of(const Request& request) {
    ipc::SetOrder order;
    const SetWish& wish = request.set;
    if (request.command == CommandId::kSetTime) {
        order.mutable_time();
        if (wish.step_ns) order.mutable_time()->set_to_ns(sum_of(clocks_of(request).wall_ns, *wish.step_ns));
    }
    if (request.command == CommandId::kSetVcpus) {
        order.mutable_vcpus();
        for (const std::uint64_t number : wish.numbers)
            order.mutable_vcpus()->add_item()->set_id(static_cast<std::int64_t>(number));
    }
    if (request.command == CommandId::kSetMemoryBlocks) {
        order.mutable_blocks();
        for (const std::uint64_t number : wish.numbers) order.mutable_blocks()->add_item()->set_index(number);
    }
    return order;
}

Clocks clocks_of(const Request& request) {
    const WallTime settable = std::clamp<WallTime>(request.time, 0, kSettableEndNs / kNsPerSecond);
    return {.latest = request.time, .wall_ns = settable * kNsPerSecond};
}

const ipc::SetRule* set_rule_of(const Rule& rule, CommandId command) {
    const auto found = std::ranges::find_if(rule.sets, [command](const ipc::SetRule& one) {
        return (command == CommandId::kSetTime && one.has_time()) ||
               (command == CommandId::kSetVcpus && one.has_vcpus()) ||
               (command == CommandId::kSetMemoryBlocks && one.has_blocks());
    });
    return found == rule.sets.end() ? nullptr : &*found;
}

// Each key's base64 begins with the length of its type, of which three bytes are zero.
std::string key_line(const std::string& word) {
    if (word.starts_with("AAAA") || word.find(" AAAA") != word.npos) return word;
    return word + " " + key_blob_start(std::string_view(word).substr(word.rfind(' ') + 1));
}

}  // namespace sallyport::policy::analyse
