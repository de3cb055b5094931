// The chain of the audit log: each line has the hash of the line before it, also across files.
// Runs in:  the policy tool, after lockdown_compiler()
// Input:    a log that anybody may have changed
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/unique_fd.hpp"

namespace sallyport::policy::log {

inline constexpr std::size_t kHashSize = 64;  // in hexadecimal

/// SHA-256 in hexadecimal.
std::string hash_of(std::string_view line);

/// The hash of the line before, as `line` has it; empty if it is not a whole line.
std::string_view previous_of(std::string_view line);

/// Where a file of a log begins and ends.
struct Ends {
    std::string begins_after;  // hash of the line before the first; empty if the first is cut off
    std::string last;          // hash of the last; empty if there is no line
    std::string time;          // of the first line
};

/// Reads both ends of a file, and goes back to its beginning. Nothing for one that cannot go back, such as a pipe.
std::optional<Ends> ends_of(FdRef file);

/// Files in the order of their chains.
struct Order {
    std::vector<std::vector<std::size_t>> chains;  // the one that begins first comes first
    std::optional<std::size_t> fork;  // a file that goes on from a line from which another goes on
};
Order order_of(const std::vector<Ends>& files);

/// Follows the lines of a chain, whatever file they are in.
class Chain {
public:
    /// Whether the line goes on from the one before it. Of the first it is not known.
    bool take(std::string_view line);
    /// The line has the form of one, or was cut off by a crash.
    [[nodiscard]] bool was_whole() const { return was_whole_; }
    /// After a line that is no part of it: the next one can go on from anything.
    void forget() { last_.clear(); }
    /// The hash of the line that was taken last; empty before the first.
    [[nodiscard]] const std::string& last() const { return last_; }

private:
    std::string last_;
    bool was_whole_ = false;
};

}  // namespace sallyport::policy::log
