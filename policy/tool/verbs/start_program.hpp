// Other programs, started by the words of an argument list, never by a shell.
// Runs in:  the policy tool
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "base/unique_fd.hpp"

namespace sallyport::policy::cli {

/// Where a started program's descriptors lead.
struct Ends {
    FdRef input{-1};         // -1: nothing
    bool is_silent = false;  // what it prints is of no interest
};

/// Its exit status; nothing if it cannot be started, or was ended by a signal.
std::optional<int> start_program(const std::vector<std::string>& words, const Ends& ends = {});

/// This program, with other words.
std::optional<int> start_self(std::vector<std::string> words, const Ends& ends = {});

}  // namespace sallyport::policy::cli
