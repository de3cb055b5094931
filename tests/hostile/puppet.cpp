#include "tests/hostile/puppet.hpp"

#include <cstring>
#include <filesystem>
#include <stdexcept>

namespace sallyport::test {

namespace fs = std::filesystem;

namespace {

std::string four_bytes(std::uint32_t value) {
    std::string bytes(sizeof value, '\0');
    std::memcpy(bytes.data(), &value, sizeof value);
    return bytes;
}

ipc::Reply parse_reply(const std::string& bytes) {
    ipc::Reply reply;
    if (!reply.ParseFromString(bytes)) throw std::runtime_error("the broker's reply does not parse");
    return reply;
}

}  // namespace

PuppetTree::PuppetTree() {
    copy_programs(build_root(), scratch_, "", {"worker/worker", "tests/hostile/puppet_worker"});
}

Puppet::Puppet(const Agent& agent) : host_(agent.socket()) {
    const Message first = next();
    if (first.kind != Twitch::kWelcome) throw std::runtime_error("the worker does not greet");
    welcome_ = parse_reply(first.payload);
}

void Puppet::pull(Pull kind, std::string_view payload) {
    host_->send(four_bytes(static_cast<std::uint32_t>(payload.size())) + static_cast<char>(kind) +
                std::string(payload));
}

Puppet::Message Puppet::next() {
    const std::string header = host_->bytes(5);
    std::uint32_t size = 0;
    std::memcpy(&size, header.data(), sizeof size);
    return {.kind = static_cast<Twitch>(header[4]), .payload = host_->bytes(size)};
}

void Puppet::send(std::string_view frame) {
    pull(Pull::kSend, frame);
}

void Puppet::call(std::uint64_t number, const Arguments& arguments) {
    std::string words(sizeof number + sizeof arguments, '\0');
    std::memcpy(words.data(), &number, sizeof number);
    std::memcpy(words.data() + sizeof number, arguments.data(), sizeof arguments);
    pull(Pull::kCall, words);
}

int Puppet::errno_of(std::uint64_t number, const Arguments& arguments) {
    call(number, arguments);
    const Message message = next();
    if (message.kind != Twitch::kCalled) throw std::runtime_error("the worker was ended by its call");
    std::uint32_t error = 0;
    std::memcpy(&error, message.payload.data(), sizeof error);
    return static_cast<int>(error);
}

void Puppet::flood(std::uint32_t count) {
    pull(Pull::kFlood, four_bytes(count));
}

void Puppet::write_arena(std::uint32_t offset, std::string_view bytes) {
    pull(Pull::kWriteArena, four_bytes(offset) + std::string(bytes));
}

void Puppet::flip_arena(std::uint32_t offset, std::uint32_t count, std::string_view bytes) {
    pull(Pull::kFlipArena, four_bytes(offset) + four_bytes(count) + std::string(bytes));
}

std::string Puppet::read_arena(std::uint32_t offset, std::uint32_t size) {
    pull(Pull::kReadArena, four_bytes(offset) + four_bytes(size));
    const Message message = next();
    if (message.kind != Twitch::kArena) throw std::runtime_error("no arena contents");
    return message.payload;
}

ipc::Reply Puppet::hear() {
    const Message message = next();
    if (message.kind != Twitch::kReply) throw std::runtime_error("the worker was ended instead of answered");
    return parse_reply(message.payload);
}

ipc::Reply Puppet::ask(std::string_view frame) {
    send(frame);
    return hear();
}

bool Puppet::is_replaced() {
    for (;;) {
        Message message;
        try {
            message = next();
        } catch (const std::runtime_error&) {
            return false;
        }
        if (message.kind != Twitch::kWelcome) continue;
        welcome_ = parse_reply(message.payload);
        return true;
    }
}

}  // namespace sallyport::test
