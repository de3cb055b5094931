// The files of one or more audit logs, read record by record.
// Runs in:  the policy tool, after lockdown_compiler()
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "base/unique_fd.hpp"
#include "policy/tool/log/chain.hpp"
#include "policy/tool/log/record.hpp"

namespace sallyport::policy::log {

struct Source {
    std::string name;
    UniqueFd file;
};

/// Where a line stands. A chain is all files of one log; another guest's log is another chain.
struct Place {
    std::size_t chain = 0;
    std::size_t file = 0;  // of the sources as they were given
    std::uint64_t line = 0;
    std::string_view text;
};

/// What was read, and what was no record.
struct Reading {
    std::uint64_t lines = 0;
    std::uint64_t damaged = 0;
    std::uint64_t too_long = 0;
    std::vector<std::string> examples;  // of these; a place and a word each, the first few
    std::string fault;                  // a file that cannot be read, and why; empty: all were
};

class Logs {
public:
    explicit Logs(std::vector<Source> sources);

    using Visit = std::function<void(const Record&, const Place&)>;
    /// Visits every record of every file, file after file in the order of the chains. A line that is no record is counted, and
    /// visited without one if there is `damaged`. Can be called again unless a file is a pipe.
    Reading read(const Visit& visit, const std::function<void(const Place&)>& damaged = nullptr);

    [[nodiscard]] const std::vector<Source>& sources() const { return sources_; }
    /// The files of each chain, in their order.
    [[nodiscard]] const std::vector<std::vector<std::size_t>>& chains() const { return chains_; }
    [[nodiscard]] bool can_be_read_again() const { return can_go_back_; }

private:
    std::vector<Source> sources_;
    std::vector<std::vector<std::size_t>> chains_;
    bool can_go_back_ = true;
};

}  // namespace sallyport::policy::log
