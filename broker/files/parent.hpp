// The parent of the files hand: starts and ends clerks, and does no file work itself.
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

/// What each clerk starts with.
struct Hand {
    Table table;
    ExpiryClock clock;
    sandbox::Filter filter;  // of clerks
    pid_t parent = -1;
};

/// THREAT: a process that waits for a disk or a server cannot be killed. So all file work is done in children; at most
/// kMaxHungClerks are left hanging. INVARIANT: there are never more than kMaxClerks.
class Parent {
public:
    Parent(UniqueFd broker, Hand hand) : broker_(std::move(broker)), hand_(std::move(hand)) {}

    /// Says that it is ready, then serves until the broker closes its end. Returns the exit status; in a clerk, the clerk's.
    int run();

private:
    struct Child {
        std::uint64_t number = 0;
        UniqueFd process;
        bool is_killed = false;
    };
    /// The exit status, if a turn ends the process.
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
};

}  // namespace sallyport::files
