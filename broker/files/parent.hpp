// The parent of the files hand: it starts clerks, ends them, and does no work on files itself.
// Runs in:  files, after lockdown_files()
// Input:    orders of a broker that may have been taken over
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <optional>
#include <utility>
#include <vector>

#include "base/clock.hpp"
#include "broker/files/table.hpp"
#include "ipc/channel.hpp"
#include "ipc/files.pb.h"
#include "sandbox/syscalls.hpp"

namespace sallyport::files {

/// What a clerk is born with.
struct Hand {
    Table table;
    ExpiryClock clock;
    sandbox::Filter filter;  // of clerks
    pid_t parent = -1;
};

/// THREAT: a process that waits for a disk, or for a server, cannot be killed. So it is this process's child and not its own work; at most
/// kMaxHungClerks are left behind like that. INVARIANT: there are never more than kMaxClerks.
class Parent {
public:
    Parent(UniqueFd broker, Hand hand) : broker_(std::move(broker)), hand_(std::move(hand)) {}

    /// Says that it is ready and serves until the broker closes its end. Gives back the exit status; in a clerk, that of the clerk.
    int run();

private:
    struct Child {
        std::uint64_t number = 0;
        UniqueFd process;
        bool is_killed = false;
    };
    /// What a turn ends with, if it ends the process.
    using End = std::optional<int>;

    bool wait() const;
    End hear();
    End start_clerk();
    int become_clerk(std::pair<UniqueFd, UniqueFd> sockets);
    bool kill_clerk(std::uint64_t number);
    bool bury();
    bool say(const ipc::FilesReply& reply);
    [[nodiscard]] std::size_t count_killed() const;

    UniqueFd broker_;
    Hand hand_;
    std::vector<Child> children_;
    std::uint64_t last_ = 0;
    ipc::Frame frame_;
    std::string bytes_;
};

}  // namespace sallyport::files
