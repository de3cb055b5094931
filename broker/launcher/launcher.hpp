// The parts of the launcher: what may be started, starting it, and the hooks around a freeze.
// Runs in:  launcher
#pragma once

#include <string>
#include <vector>

#include "base/trusted_file.hpp"
#include "ipc/launcher.pb.h"
#include "ipc/result.hpp"
#include "ipc/unique_fd.hpp"

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

}  // namespace sallyport::launcher
