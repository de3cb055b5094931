// The parts of the launcher: the table of what may be started, starting it, the hooks around a freeze, and programs that a host names.
// Runs in:  launcher
#pragma once

#include <poll.h>

#include <string>
#include <vector>

#include "base/clock.hpp"
#include "base/result.hpp"
#include "base/trusted_file.hpp"
#include "base/unique_fd.hpp"
#include "broker/supervisor/spare.hpp"
#include "broker/supervisor/supervise.hpp"
#include "ipc/channel.hpp"
#include "ipc/launcher.pb.h"

namespace sallyport::launcher {

struct Job {
    std::vector<std::string> words;  // a program and its arguments; empty: the kernel is asked
    ipc::KernelAction kernel = ipc::KERNEL_ACTION_UNSPECIFIED;
    unsigned deadline_ms = 0;  // does not run while the machine sleeps
};

/// Carries the start out in a child with its own session and environment, and none of our descriptors. A program must pass
/// open_trusted(), and the file that passed is executed. FAILED with ENOENT if it does not exist.
ipc::Outcome carry_out(const Job& job);

/// Whether the kernel offers the action.
bool is_offered(ipc::KernelAction action);

/// Sends the outcome to the broker.
Status tell(const ipc::LauncherReply& reply);

/// INVARIANT: a hook that was started for a freeze is started for the thaw, even if it failed, and even if the broker is gone.
class HookPrograms {
public:
    explicit HookPrograms(const ipc::LauncherTable& table) : table_(table) {}

    /// Returns what would be started, in order: a file itself, or the executable files of a directory, by name. Names of backups and
    /// leftovers are skipped, as qemu-ga's dispatcher does. A path that does not exist gives none.
    /// Errors: those of open_trusted() for the paths of the table.
    [[nodiscard]] Checked<std::vector<std::string>> list() const;
    /// Starts each with the argument "freeze" up to the first that fails, and returns that one's outcome.
    ipc::Outcome freeze();
    /// Starts what freeze() started (all, if there was no freeze) with "thaw" in reverse order, whether or not any of them fails.
    /// Returns the first outcome that is not DONE.
    ipc::Outcome thaw();
    [[nodiscard]] bool is_thaw_owed() const { return !started_.empty(); }

private:
    const ipc::LauncherTable& table_;
    std::vector<std::string> started_;
};

/// Programs that the host has named. Each has a supervisor, so that the launcher waits for none and only passes on what they write.
class Programs {
public:
    /// `clock` says when rules expire.
    Programs(const ipc::LauncherTable& table, const ExpiryClock& clock);

    /// Carries out an order of the broker that is about a program.
    ///
    /// THREAT: a broker that was taken over asks for what the policy does not allow. The words are made here, from our copy of the
    /// templates, and policy::match_exec() judges them here. Errors: kInvalid, an order that no honest broker sends.
    Status hear(const ipc::LauncherRequest& request);
    /// Starts a supervisor and the program's process, which wait for the next order, if none wait; without them the next order starts them.
    /// Removes the control groups of programs that have gone.
    void prepare();
    /// Whether prepare() has something to do.
    [[nodiscard]] bool has_chores() const { return (may_prepare_ && is_unprepared()) || !left_.empty(); }
    /// Whether the next order must wait until a supervisor is started.
    [[nodiscard]] bool is_unprepared() const { return !table_.exec().empty() && !spare_.socket.is_open(); }
    /// The sockets of the supervisors, to poll.
    void add_to(std::vector<pollfd>& wanted) const;
    /// Passes on what the ready supervisors say. Errors: those of tell(); kInvalid if one breaks its contract.
    Status hear_supervisors(const std::vector<pollfd>& ready);

private:
    struct Program {
        std::uint64_t number = 0;
        std::uint32_t by = 0;  // template
        UniqueFd socket;       // to its supervisor; not open once nothing is left of it
        UniqueFd memory;       // what it wrote; not open once nobody wants that any more
        ipc::ExecEnded ended;
        std::string group;  // its control group; empty if it has none
    };
    Status take_part(const ipc::ExecPart& part);
    void leave(std::string& group);
    Status start(const ipc::ExecOrder& order);
    Status give_output(const ipc::ExecTake& take);
    Status drop(std::uint64_t number);
    Status hear_one(Program& program);
    Program* find(std::uint64_t number);
    [[nodiscard]] bool has_room_for(std::uint32_t by) const;

    const ipc::LauncherTable& table_;
    const ExpiryClock& clock_;
    std::string order_;  // the parts that have arrived
    std::uint64_t last_ = 0;
    std::vector<Program> programs_;
    supervisor::Spare spare_;
    bool may_prepare_ = true;  // one attempt for each order, so that a failure is not repeated for ever
    UniqueFd groups_;          // not open if there are no control groups
    std::uint64_t last_group_ = 0;
    std::vector<std::string> left_;  // control groups to be removed when there is time
    ipc::Frame frame_;
};

}  // namespace sallyport::launcher
