// Processes: starting one, and what /proc shows of any.
#pragma once

#include <sys/types.h>

#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/unique_fd.hpp"
#include "tests/support/wait.hpp"

namespace sallyport::test {

/// How a process ended: the exit status, or minus the number of the signal.
using Ending = int;

struct Program {
    std::vector<std::string> words;             // argv; the first is the path
    std::vector<std::string> environment;       // NAME=VALUE, in place of ours
    std::string output;                         // file for standard output and error
    std::function<void()> before_exec = [] {};  // in the child
};

/// A child process; killed and reaped if it still runs when this goes.
class Child {
public:
    explicit Child(const Program& program);
    /// A child that runs `body` instead of a program and exits with its result.
    explicit Child(const std::function<int()>& body);
    Child(const Child&) = delete;
    Child& operator=(const Child&) = delete;
    ~Child();

    [[nodiscard]] pid_t pid() const { return pid_; }
    void signal(int number) const;
    /// Waits for the end; nothing if it does not come in time.
    std::optional<Ending> wait(milliseconds patience = kPatience);
    [[nodiscard]] bool has_ended() const;
    /// Readable when the process has ended.
    [[nodiscard]] int descriptor() const { return pidfd_.get(); }

private:
    void start(const std::function<int()>& body);
    pid_t pid_ = -1;
    UniqueFd pidfd_;
    std::optional<Ending> ending_;
};

/// What running a program to its end gave.
struct Finished {
    Ending ending = -1;
    std::string out;
    std::string error;
};
Finished run(Program program, milliseconds patience = kPatience);

/// kill(2) for one process; whether it could be told. Throws for a number that means many processes, such as the -1 of one
/// that was not found.
bool send_signal(pid_t process, int number);

std::vector<pid_t> children_of(pid_t parent);
bool is_running(pid_t process);
/// argv[0], empty if the process is gone.
std::string name_of(pid_t process);
/// The value of a line of /proc/PID/status, such as "CapEff".
std::string status_field(pid_t process, std::string_view field);
std::size_t count_descriptors(pid_t process);
/// Link texts of /proc/PID/fd.
std::vector<std::string> list_descriptors(pid_t process);
/// Memory of a process, its share of what it shares, in KiB; without files, whose pages others may map at any time.
std::size_t own_memory_kib(pid_t process);
/// User and system time so far, in clock ticks.
unsigned long cpu_ticks(pid_t process);
/// Such as "user" or "mnt"; the link text.
std::string namespace_of(pid_t process, std::string_view kind);
/// One letter of /proc/PID/stat: R, S, T, Z ...
char state_of(pid_t process);

/// Whether what it can read of its memory holds that text somewhere.
bool has_in_memory(pid_t process, const std::string& text);

}  // namespace sallyport::test
