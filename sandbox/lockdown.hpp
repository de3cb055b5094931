// Confinement: one straight-line function per kind of process, from tables of data.
// Runs in:  every process, before the first host byte is read
// Relies on: libseccomp, libcap-ng, Landlock, namespaces
//
// There is no flag, build option or architecture that skips a step. If a step fails, the process must end. Errors are kSystem with the
// name of the step, or kProof if Landlock did not refuse what it should.
#pragma once

#include <poll.h>
#include <sys/types.h>

#include <ctime>
#include <span>
#include <vector>

#include "base/result.hpp"
#include "base/unique_fd.hpp"
#include "sandbox/needs.hpp"

namespace sallyport::sandbox {

class Filter;

/// The capabilities that each process keeps if root starts it.
std::vector<KeptCapability> files_capabilities(const FilesNeeds& needs);
std::span<const KeptCapability> guard_capabilities();
std::vector<KeptCapability> launcher_capabilities(const LauncherNeeds& needs);
std::span<const KeptCapability> setter_capabilities();

/// Keeps the memory of this process from being paged out: while file systems are frozen, no page of it may have to come from a disk.
/// Covers what was touched so far, and later memory where the limits allow it. Does nothing for an ordinary user. Errors: kSystem.
Status lock_memory();

/// Unmaps code that was paged in so far, and gives free memory back. Code that is needed again is paged in again. Called after the
/// lockdown, as the last part of a start, and after kQuietMs without work, so that a waiting process holds little.
void forget_startup_code();
inline constexpr int kQuietMs = 500;

/// Works as ppoll() with at most `most` (null: for ever), and calls forget_startup_code() after kQuietMs without an event.
int wait_quietly(std::span<pollfd> wanted, const timespec* most);

/// Locks the broker down: no capability in any of the five sets (an ordinary user keeps its bounding set), no new privileges, not
/// dumpable, Landlock without any grant, seccomp.
Status lockdown_broker(const Needs& needs);

/// Locks the parent of the files hand down, and with it its clerks. `state_directory` is used to prove that Landlock refuses what no
/// tree grants.
Status lockdown_files(const FilesNeeds& needs, FdRef state_directory);

/// The filter of the clerks, compiled by their parent before its lockdown. Errors: kSystem.
Result<Filter> filter_of_clerks(const FilesNeeds& needs);

/// Locks a clerk down further: it dies with its parent, and can start no process. Errors: also kClosed if its parent has gone.
Status lockdown_clerk(pid_t parent, const Filter& filter);

/// Makes the few capabilities that lockdown_nursery() needs survive the execve() of the nursery, which would end them since its user
/// number is not 0. Called by the new process itself between clone3() and execve(); they count in its new user namespace only.
Status carry_capabilities_over_exec();

/// Locks the nursery down. Called as pid 1 of new user, mount, net, ipc, uts, pid and cgroup namespaces in which only `uid` and `gid`
/// are mapped. Takes these ids, makes the empty read-only root, closes every descriptor but 0 to 2 (which the starter has made
/// /dev/null) and `kept`, drops all capabilities, sets limits, Landlock (only `executable` may be executed), seccomp.
Status lockdown_nursery(uid_t uid, gid_t gid, FdRef executable, std::span<const FdRef> kept);

/// The filter of the workers, compiled by the nursery before its lockdown. Errors: kSystem.
Result<Filter> filter_of_workers();

/// Makes the nursery undumpable again after its second execve(), which has reset that. Errors: kSystem.
Status hide_again();

/// Locks a worker down further than the nursery that forked it: limits, Landlock (nothing at all), the stricter filter.
Status lockdown_worker(const Filter& filter);

/// Locks the guard down. It may open directories everywhere, to freeze what is mounted there, and read below `sys`. Its memory is locked.
Status lockdown_guard(FdRef root, FdRef sys);

/// The filter of the planners, compiled by the guard before its lockdown. Errors: kSystem.
Result<Filter> filter_of_planners();

/// Locks a planner down further than the guard: no capability; it can read below `sys` and what it has open, send, and end.
Status lockdown_planner(FdRef sys, const Filter& filter);

/// Takes from the launcher what the programs that it starts as root get back by their execution: capabilities, and being dumpable. What
/// they would inherit is left alone: bounding set, no new privileges, Landlock, seccomp, limits.
Status lockdown_launcher(const LauncherNeeds& needs);

/// Locks a setter down: CAP_SYS_TIME if it sets the clock, else no capability; no new privileges; Landlock; seccomp.
Status lockdown_setter(const SetterNeeds& needs);

/// Locks down the supervisor of a program that a host has started: CAP_KILL, no new privileges; it opens no file to write it.
Status lockdown_supervisor();

/// Confines a program that a host starts, as the user that it runs as, just before it is executed. It and all that it starts gain no
/// privileges, hold no capability even as root, and write only to /dev/null and beneath `write`; anywhere if `write` is empty.
Status confine_program(std::span<const int> write);

/// Locks the inspector down. Called as pid 1 of new user, ipc, pid and cgroup namespaces in which only `uid` and `gid` are mapped. All
/// that it has open stays open. With `needs.follows_links` it can read any file that an ordinary user can, if it knows the name, so
/// that a new child can; it opens none itself.
Status lockdown_inspector(uid_t uid, gid_t gid, const InspectorNeeds& needs);

/// The filter of the inspector's children, compiled by the inspector before its lockdown. Errors: kSystem.
Result<Filter> filter_of_inspector_children(const InspectorNeeds& needs);

/// Locks a child of the inspector down further, before its first query: it can open files below `needs.trees`, and start no process.
Status lockdown_inspector_child(const InspectorNeeds& needs, const Filter& filter);

/// Locks the recorder down: it may open, make and rename files below `directory`. All that it has open stays open.
Status lockdown_recorder(FdRef directory);

/// Locks down the short-lived process that compiles a policy: it may read and write what it has open, and end. It may also read files below
/// `zones`, the directory of time zones; none if that is not open.
Status lockdown_compiler(FdRef zones = FdRef(-1));

}  // namespace sallyport::sandbox
