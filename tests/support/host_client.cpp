#include "tests/support/host_client.hpp"

#include <absl/strings/escaping.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <array>
#include <boost/json/parse.hpp>
#include <boost/json/serialize.hpp>
#include <boost/json/value_to.hpp>
#include <cerrno>
#include <cstring>
#include <stdexcept>

namespace sallyport::test {

namespace json = boost::json;

namespace {

UniqueFd connect_to(const std::string& path) {
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    if (path.size() >= sizeof address.sun_path) throw std::runtime_error("socket path too long: " + path);
    std::memcpy(address.sun_path, path.data(), path.size());
    UniqueFd channel;
    const bool connected = eventually([&] {
        channel = UniqueFd(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
        return ::connect(channel.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0;
    });
    if (!connected) throw std::runtime_error("cannot connect to " + path);
    return channel;
}

std::string shorten(std::string_view text) {
    constexpr std::size_t kShown = 400;
    return std::string(text.substr(0, kShown)) + (text.size() > kShown ? "..." : "");
}

}  // namespace

HostClient::HostClient(const std::string& path) : channel_(connect_to(path)) {}

void HostClient::send(std::string_view bytes, milliseconds patience) {
    const Deadline deadline(patience);
    while (!bytes.empty()) {
        // Replies are taken meanwhile: an agent that waits for us to read may not read from us.
        if (!wait_for(channel_.get(), POLLOUT | POLLIN, deadline))
            throw std::runtime_error("the agent does not read");
        if (wait_for(channel_.get(), POLLIN, Deadline(milliseconds(0))) && !fill(Deadline(milliseconds(0))))
            throw std::runtime_error("the agent closed the channel");
        bytes.remove_prefix(send_some(bytes));
    }
}

std::size_t HostClient::send_some(std::string_view bytes) {
    // write(2) in pieces that fit, since a terminal is no socket and has no MSG_DONTWAIT.
    constexpr std::size_t kPiece = 4096;
    std::size_t done = 0;
    while (done < bytes.size() && wait_for(channel_.get(), POLLOUT, Deadline(milliseconds(0)))) {
        const std::string_view piece = bytes.substr(done, kPiece);
        ssize_t sent = ::send(channel_.get(), piece.data(), piece.size(), MSG_NOSIGNAL | MSG_DONTWAIT);
        if (sent < 0 && errno == ENOTSOCK) sent = ::write(channel_.get(), piece.data(), piece.size());
        if (sent < 0 && (errno == EAGAIN || errno == EINTR)) break;
        if (sent < 0) throw std::runtime_error(std::string("send: ") + std::strerror(errno));
        done += static_cast<std::size_t>(sent);
    }
    return done;
}

bool HostClient::fill(const Deadline& deadline) {
    if (!wait_for(channel_.get(), POLLIN, deadline))
        throw std::runtime_error("no answer in time; have: " + shorten(pending_));
    std::array<char, 65536> buffer;
    const ssize_t got = ::read(channel_.get(), buffer.data(), buffer.size());
    if (got < 0 && errno != EINTR && errno != EAGAIN) return false;
    if (got == 0) return false;
    if (got > 0) pending_.append(buffer.data(), static_cast<std::size_t>(got));
    return true;
}

std::string HostClient::line(milliseconds patience) {
    const Deadline deadline(patience);
    std::size_t looked = 0;
    for (;;) {
        const std::size_t end = pending_.find('\n', looked);
        if (end != std::string::npos) {
            std::string line = pending_.substr(0, end);
            pending_.erase(0, end + 1);
            return line;
        }
        looked = pending_.size();
        if (!fill(deadline)) throw std::runtime_error("channel closed; have: " + shorten(pending_));
    }
}

std::string HostClient::bytes(std::size_t size, milliseconds patience) {
    const Deadline deadline(patience);
    while (pending_.size() < size)
        if (!fill(deadline)) throw std::runtime_error("channel closed; have: " + shorten(pending_));
    std::string taken = pending_.substr(0, size);
    pending_.erase(0, size);
    return taken;
}

std::string HostClient::ask(std::string_view request, milliseconds patience) {
    send(request, patience);
    return line(patience);
}

std::string HostClient::ask_all(std::string_view bytes, milliseconds patience) {
    const std::string id = std::to_string(++next_sync_);
    send(std::string(bytes) + "\n" + command("guest-sync", "{\"id\":" + id + "}"), patience);
    const std::string last = "{\"return\": " + id + "}";
    std::string lines;
    for (;;) {
        const std::string next = line(patience);
        if (next == last) return lines;
        lines += next + "\n";
    }
}

bool HostClient::is_closed(milliseconds patience) {
    const Deadline deadline(patience);
    return pending_.empty() && wait_for(channel_.get(), POLLIN, deadline) && !fill(deadline);
}

bool HostClient::is_silent() {
    return pending_.empty() && !wait_for(channel_.get(), POLLIN, Deadline(milliseconds(0)));
}

void HostClient::half_close() {
    ::shutdown(channel_.get(), SHUT_WR);
}

json::value result_of(std::string_view reply) {
    const json::value value = json::parse(json::string_view(reply.data(), reply.size()));
    if (!value.is_object() || !value.as_object().contains("return"))
        throw std::runtime_error("no result: " + shorten(reply));
    return value.at("return");
}

std::int64_t handle_of(std::string_view reply) {
    return result_of(reply).to_number<std::int64_t>();
}

namespace {

std::string error_member(std::string_view reply, const char* name) {
    const json::value value = json::parse(json::string_view(reply.data(), reply.size()));
    if (!value.is_object() || !value.as_object().contains("error")) return {};
    return json::value_to<std::string>(value.at("error").at(name));
}

}  // namespace

std::string desc_of(std::string_view reply) {
    return error_member(reply, "desc");
}

std::string class_of(std::string_view reply) {
    return error_member(reply, "class");
}

std::string command(std::string_view name, std::string_view arguments) {
    return "{\"execute\":\"" + std::string(name) + "\",\"arguments\":" + std::string(arguments) + "}\n";
}

std::string members(std::initializer_list<std::pair<std::string_view, std::string_view>> list) {
    std::string text;
    for (const auto& [name, value] : list) {
        text += text.empty() ? "{" : ",";
        text += in_quotes(name) + ":" + std::string(value);
    }
    return text + "}";
}

std::string in_quotes(std::string_view text) {
    return "\"" + std::string(text) + "\"";
}

std::string error_line(std::string_view desc, std::string_view error_class) {
    return "{\"error\": {\"class\": \"" + std::string(error_class) +
           "\", \"desc\": " + json::serialize(json::string(desc.data(), desc.size())) + "}}";
}

std::string base64(std::string_view bytes) {
    return absl::Base64Escape(absl::string_view(bytes.data(), bytes.size()));
}

std::string from_base64(std::string_view text) {
    std::string bytes;
    if (!absl::Base64Unescape(absl::string_view(text.data(), text.size()), &bytes))
        throw std::runtime_error("not base64: " + shorten(text));
    return bytes;
}

}  // namespace sallyport::test
