// What sallyport-policy can do: one verb, one file, one row in main.cpp.
// Runs in:  the policy tool
#pragma once

#include <CLI/CLI.hpp>
#include <functional>

namespace sallyport::policy::cli {

inline constexpr int kSuccess = 0;
inline constexpr int kFailure = 1;  // the policy is wrong, or a file cannot be used
inline constexpr int kUsage = 2;    // the command line is wrong

/// Gives the exit status.
using Run = std::function<int()>;

/// Declares a verb's own options on `command` and gives what is to be run once they are read.
using Declare = Run (*)(CLI::App& command);

Run declare_check(CLI::App& command);
Run declare_compile(CLI::App& command);
Run declare_freeze_plan(CLI::App& command);
Run declare_service(CLI::App& command);
Run declare_verify_log(CLI::App& command);

}  // namespace sallyport::policy::cli
