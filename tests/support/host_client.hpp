// The host's end of a channel: raw bytes out, lines in, each with a deadline.
#pragma once

#include <boost/json/value.hpp>
#include <cstdint>
#include <initializer_list>
#include <string>
#include <string_view>
#include <utility>

#include "base/unique_fd.hpp"
#include "tests/support/wait.hpp"

namespace sallyport::test {

class HostClient {
public:
    /// Connects to a unix socket, which may not be there yet.
    explicit HostClient(const std::string& path);
    /// Takes over an open channel, such as a terminal's master.
    explicit HostClient(UniqueFd channel) : channel_(std::move(channel)) {}

    /// Sends all bytes; throws if the agent does not take them in time.
    void send(std::string_view bytes, milliseconds patience = kPatience);
    /// As much of `bytes` as goes without waiting.
    std::size_t send_some(std::string_view bytes);
    /// One line without its LF, 0xFF bytes included; throws if none comes in time or the channel ends.
    std::string line(milliseconds patience = kPatience);
    /// Exactly `size` bytes.
    std::string bytes(std::size_t size, milliseconds patience = kPatience);
    /// Sends a request and takes its line.
    std::string ask(std::string_view request, milliseconds patience = kPatience);
    /// All lines up to the answer of a guest-sync, which is asked here and not part of them.
    std::string ask_all(std::string_view bytes, milliseconds patience = kPatience);
    /// Whether the agent closes the channel, and nothing came before that.
    bool is_closed(milliseconds patience = kPatience);
    /// Nothing to read at this moment.
    bool is_silent();
    void half_close();
    [[nodiscard]] int descriptor() const { return channel_.get(); }

private:
    bool fill(const Deadline& deadline);
    UniqueFd channel_;
    std::string pending_;
    std::int64_t next_sync_ = 710'000;
};

/// The `return` member of a reply; throws, naming the reply, if it has none.
boost::json::value result_of(std::string_view reply);
/// The handle in a reply to guest-file-open.
std::int64_t handle_of(std::string_view reply);
/// The text of an error reply; empty if the reply is none.
std::string desc_of(std::string_view reply);
/// The class of an error reply; empty if the reply is none.
std::string class_of(std::string_view reply);

/// {"execute":NAME,"arguments":ARGUMENTS}, ended by LF.
std::string command(std::string_view name, std::string_view arguments = "{}");
/// A JSON object of members whose values are JSON texts already.
std::string members(std::initializer_list<std::pair<std::string_view, std::string_view>> list);
/// A JSON string; `text` needs no escapes.
std::string in_quotes(std::string_view text);
/// The line of an error reply.
std::string error_line(std::string_view desc, std::string_view error_class = "GenericError");

std::string base64(std::string_view bytes);
std::string from_base64(std::string_view text);

}  // namespace sallyport::test
