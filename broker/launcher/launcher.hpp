// The parts of the launcher: what may be started, starting it, the hooks around a freeze, and programs that the host names.
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

/// Carries it out in a child: a session and an environment of its own, nothing of ours open. A program must pass
/// open_trusted(), and what passed is executed. FAILED with ENOENT if it is not there.
ipc::Outcome carry_out(const Job& job);

/// Whether the kernel offers the action.
bool is_offered(ipc::KernelAction action);

/// Says it to the broker.
Status tell(const ipc::LauncherReply& reply);

/// INVARIANT: whatever was started for a freeze is started for the thaw, also if it failed and if the broker is gone.
class HookPrograms {
public:
    explicit HookPrograms(const ipc::LauncherTable& table) : table_(table) {}

    /// What would be started, in order: a file itself, of a directory the files that may be executed, by name; names of
    /// backups and leftovers are passed over, as qemu-ga's dispatcher does. A path that is not there means none.
    /// Errors: those of open_trusted() for the paths of the table.
    [[nodiscard]] Checked<std::vector<std::string>> list() const;
    /// Starts each with the argument "freeze", up to the first that fails; its outcome.
    ipc::Outcome freeze();
    /// Starts what freeze() started, else all, with "thaw" in reverse order, whatever any of them says; the first outcome
    /// that is not DONE.
    ipc::Outcome thaw();
    [[nodiscard]] bool is_thaw_owed() const { return !started_.empty(); }

private:
    const ipc::LauncherTable& table_;
    std::vector<std::string> started_;
};

/// Programs that the host has named: each has a supervisor, so that the launcher itself neither waits for one nor reads what it
/// writes but to pass it on.
class Programs {
public:
    /// `clock` says when rules expire.
    Programs(const ipc::LauncherTable& table, const ExpiryClock& clock);

    /// Carries out an order of the broker that is about one.
    ///
    /// THREAT: a broker that was taken over asks for what its policy does not let it. The words are made here, of our copy of the
    /// templates, and policy::match_exec() judges them here. Errors: kInvalid: no honest broker says that.
    Status hear(const ipc::LauncherRequest& request);
    /// Makes a supervisor with the program's own process, which wait for an order, if there is none; without one the next order makes it.
    /// Removes groups of programs that have gone.
    void prepare();
    /// Whether there is something to be done by that.
    [[nodiscard]] bool has_chores() const { return (may_prepare_ && is_unprepared()) || !left_.empty(); }
    /// Whether the next order has to wait for a supervisor to be made.
    [[nodiscard]] bool is_unprepared() const { return !table_.exec().empty() && !spare_.socket.is_open(); }
    /// The supervisors, to be waited for.
    void add_to(std::vector<pollfd>& wanted) const;
    /// Passes on what those say that are ready. Errors: those of tell(); kInvalid if one breaks its contract.
    Status hear_supervisors(const std::vector<pollfd>& ready);

private:
    struct Program {
        std::uint64_t number = 0;
        std::uint32_t by = 0;  // template
        UniqueFd socket;       // its supervisor's; not open: nothing is left of it
        UniqueFd memory;       // what it wrote; not open: nobody wants that any more
        ipc::ExecEnded ended;
        std::string group;  // empty: it has none
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
    std::string order_;  // the parts that have come
    std::uint64_t last_ = 0;
    std::vector<Program> programs_;
    supervisor::Spare spare_;
    bool may_prepare_ = true;  // once for each order: what fails is not tried again and again
    UniqueFd groups_;          // not open: there are none
    std::uint64_t last_group_ = 0;
    std::vector<std::string> left_;  // that are to be removed when nothing else is to be done
    ipc::Frame frame_;
};

}  // namespace sallyport::launcher
