// The guard's loop: the broker's orders, the deadline, the watch over the children.
// Runs in:  guard
// Input:    the broker's frames; after the lockdown only numbers
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "broker/guard/family.hpp"
#include "broker/guard/planner.hpp"
#include "ipc/channel.hpp"

namespace sallyport::guard {

class Guard {
public:
    /// Opens all that it needs by name. Errors: kSystem.
    static Result<Guard> open(UniqueFd broker);

    /// Locks down; afterwards only mount points are opened. Errors: those of the lockdown.
    Status lock() const;

    /// Serves until the broker is gone and nothing is frozen any more. Returns the exit status.
    int run();

    /// Thaws every local file system, without a broker. Returns how many were frozen.
    Result<std::uint32_t> thaw_everything();

private:
    bool take_request();  // false: the broker is gone or broke its contract
    bool take_rows(const ipc::GuardRequest& request);
    void take_order(const ipc::GuardRequest& request);
    void turn();
    void set_timer();

    Status make_plan(const ipc::FreezeSelection& selection);
    void list(std::uint32_t row);
    std::size_t keep_chosen(const ipc::Freeze& freeze, std::vector<std::uint64_t>& mounts);
    std::vector<Held> open_chosen(const ipc::Freeze& freeze, std::optional<ipc::MountError>& error);
    void freeze(const ipc::Freeze& freeze);
    void thaw(ipc::Thawed::Cause cause);
    void trim(const ipc::Trim& trim);
    ipc::GuardReady take_over();

    void move(Turn event);  // to the next phase; aborts if the table has none, and the children thaw
    void go_on_freezing();
    void go_on_thawing();
    void fail(const ipc::MountError& error, ipc::Thawed::Cause cause);
    void report_frozen();
    void report_thawed();
    void send(const ipc::GuardReply& reply);

    UniqueFd broker_;
    UniqueFd root_;
    UniqueFd timer_;
    Planner planner_;
    bool is_locked_ = false;
    std::uint64_t state_mount_ = 0;  // of the state directory
    std::vector<ipc::FreezeSelection> rows_;
    ipc::FreezeSelection row_;      // of the current freeze
    std::uint64_t freeze_ = 0;      // the broker's number of it
    Plan plan_;                     // what would be frozen
    std::uint32_t left_out_ = 0;    // file systems of the current freeze that are known to be out of reach
    Status listed_;                 // how the last list was made
    std::optional<Family> family_;  // from the order to freeze until the end of the thaw
    UniqueFd trimmer_;
    Phase phase_ = Phase::kIdle;
    ipc::Thawed::Cause cause_ = ipc::Thawed::UNSPECIFIED;
    std::optional<ipc::MountError> error_;  // why the freeze failed; sent once everything is thawed
    bool is_thaw_ordered_ = false;          // the broker waits for an answer
    std::int64_t step_ns_ = 0;              // when the freezer last made progress, or the thaw began
    std::int64_t due_ns_ = 0;               // end of max_frozen
    std::int64_t left_told_ns_ =
        0;  // when the broker was last told that something cannot be thawed; 0: not in this thaw
    ipc::Frame frame_;
};

}  // namespace sallyport::guard
