// Debian's qemu-ga and our agent under the compat profile, asked the same, each in a folder with the same
// files.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "tests/support/agent.hpp"
#include "tests/support/qemu_ga.hpp"
#include "tests/support/terminal.hpp"

namespace sallyport::test {

/// What one agent answered to a script and what its folder looked like afterwards. In both the folder's path
/// is written $D and the handles that were given out $1, $2 ..., so that they can be compared.
struct Outcome {
    std::vector<std::string> replies;  // one entry for each step; its lines
    std::string folder;
};

/// One of the two, with a connection that lasts.
class Side {
public:
    Side(std::string folder, HostClient host);
    /// Fills the folder anew, plays the script, closes the handles that it opened.
    Outcome play(const std::vector<std::string>& steps);

private:
    std::string answer(std::string step, std::vector<std::string>& handles);
    std::string folder_;
    HostClient host_;
};

enum class Wire : std::uint8_t { kSocket, kTerminal };

class SideBySide {
public:
    explicit SideBySide(Wire wire = Wire::kSocket);
    Outcome ask_qemu(const std::vector<std::string>& steps) { return qemu_side_.play(steps); }
    Outcome ask_ours(const std::vector<std::string>& steps) { return our_side_.play(steps); }
    Agent& agent() { return agent_; }

private:
    Terminal qemu_terminal_;  // not open: a socket
    Terminal our_terminal_;
    QemuGa qemu_;
    Agent agent_;
    Side qemu_side_;
    Side our_side_;
};

/// Replies with what follows `JSON parse error, ` taken away: that text is each agent's own.
std::string without_parse_texts(const std::string& lines);

// Requests of scripts; `path` is below the folder.
std::string open(std::string_view path, std::string_view mode);
std::string close(std::string_view handle = "$1");
std::string flush(std::string_view handle = "$1");
std::string read(std::string_view handle = "$1");
std::string read(std::string_view handle, std::string_view count);
std::string write(std::string_view handle, std::string_view data);
std::string write(std::string_view handle, std::string_view data, std::string_view count);
std::string seek(std::string_view handle, std::string_view offset, std::string_view whence);

}  // namespace sallyport::test
