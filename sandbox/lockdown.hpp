// Confinement: one straight-line function per kind of process, from tables of data.
// Runs in:  every process, before the first host byte is read
// Relies on: libseccomp, libcap-ng, Landlock, namespaces
//
// There is no flag, build option or architecture that skips a step. If a step fails the process must end.
#pragma once

#include <poll.h>
#include <sys/types.h>

#include <cstdint>
#include <ctime>
#include <span>
#include <string>
#include <vector>

#include "base/result.hpp"
#include "base/unique_fd.hpp"

namespace sallyport::sandbox {

class Filter;

/// What makes rows of a table of system calls necessary, beside those that always are.
struct Needs {
    bool listens = false;        // broker: accepts connections on a unix or vsock socket
    bool asks_files = false;     // broker: a rule lets files be opened
    bool freezes = false;        // broker: there is a guard, and so a mark of the frozen state
    bool writes_files = false;   // files
    bool creates_files = false;  // files
    bool asks_netlink = false;   // inspector: interfaces and addresses of the network
    bool forks = false;          // files, inspector, guard: the parent itself, not its children
    bool sets_clock = false;     // setter
    bool sets_devices = false;   // setter: processors or memory
};

/// What of the powers of the files hand a policy makes necessary.
struct FilesNeeds {
    bool reads_files = false;
    bool writes_files = false;
    bool creates_files = false;
    bool others_files = false;        // files whose owner is not the agent's own user
    bool others_directories = false;  // the way to files leads through directories that others cannot enter
    /// Directories beneath which Landlock lets files be opened.
    struct Tree {
        std::string path;  // for the record; the rule is for the opened directory
        int fd = -1;       // lent
        bool read = false;
        bool write = false;
        bool create = false;
        bool list = false;  // directories themselves may be opened
    };
    std::vector<Tree> trees;
};

/// One capability number of linux/capability.h with the reason why it is kept.
struct KeptCapability {
    int capability;
    const char* reason;
};

/// The capabilities that the files hand needs if root starts it: CAP_DAC_READ_SEARCH for reading others' files,
/// CAP_DAC_OVERRIDE for writing them, none for anything else.
std::vector<KeptCapability> files_capabilities(const FilesNeeds& needs);

/// Keeps what this process has touched, and will touch where its limits allow it, in memory: while file systems are frozen
/// no page of it may have to come from a disk. Does nothing for an ordinary user. Errors: kSystem.
Status lock_memory();

/// Locks the broker down: no capability (all five sets, the bounding set where the process may), no-new-privileges, not
/// dumpable, Landlock without any grant, seccomp. Errors: kSystem with the step's name, kProof if Landlock did not refuse what it
/// should.
Status lockdown_broker(const Needs& needs);

/// Locks the parent of the files hand down, and with it its clerks. `state_directory` is used to prove that Landlock refuses what no
/// tree grants. Errors: as above.
Status lockdown_files(const FilesNeeds& needs, FdRef state_directory);

/// The filter of the clerks to come. In the parent, before its lockdown. Errors: kSystem.
Result<Filter> filter_of_clerks(const FilesNeeds& needs);

/// Locks a clerk down further: it dies with its parent, and can start no process. Errors: kSystem; kClosed if its parent has gone.
Status lockdown_clerk(pid_t parent, const Filter& filter);

/// Unmaps code that was paged in so far, which is paged in again when it is needed, and gives free memory back. After the lockdown, the
/// last part of a start, and when nothing was to be done for kQuietMs: who waits holds little.
void forget_startup_code();
inline constexpr int kQuietMs = 500;

/// As ppoll(), for at most `most` or (null) for ever; after kQuietMs in which nobody said anything it forgets, and waits on.
int wait_quietly(std::span<pollfd> wanted, const timespec* most);

/// Makes the few capabilities that lockdown_nursery() starts with outlast the execve() of the nursery, which
/// would otherwise end them since its user number is not 0. Called by the new process itself, between
/// clone3() and execve(): they hold in its new user namespace only.
Status carry_capabilities_over_exec();

/// Locks the nursery down. Called as pid 1 of new user, mount, net, ipc, uts, pid and cgroup namespaces in
/// which `uid` and `gid` are mapped and nothing else: takes these ids, makes the empty read-only root, closes
/// every descriptor but 0..2 (which become /dev/null beforehand, by the broker) and `kept`, drops all
/// capabilities, sets limits, Landlock (only `executable` may be executed), seccomp.
Status lockdown_nursery(uid_t uid, gid_t gid, FdRef executable, std::span<const FdRef> kept);

/// The filter of the workers to come. In the nursery, before its lockdown. Errors: kSystem.
Result<Filter> filter_of_workers();

/// What a new program of a process that was locked down takes back: the nursery's second one. Errors: kSystem.
Status hide_again();

/// Locks a worker down further; its parent is the nursery, so that only limits, Landlock (nothing at all) and
/// the stricter seccomp filter are left to do.
Status lockdown_worker(const Filter& filter);

/// The capabilities of the guard, if it is started by root.
std::span<const KeptCapability> guard_capabilities();

/// Locks the guard down. It may open directories everywhere, to freeze what is mounted there, and read below `sys`.
/// Its memory is locked: what it touches stays. Errors: as above.
Status lockdown_guard(FdRef root, FdRef sys);

/// The capability of a setter that sets the clock, if it is started by root.
std::span<const KeptCapability> setter_capabilities();

/// What the launcher's table makes necessary.
struct LauncherNeeds {
    bool asks_kernel = false;   // the kernel itself may be asked to end
    bool takes_users = false;   // programs that a host starts run as a user of their rule
    bool cuts_network = false;  // and some of them without a network
};

/// The capabilities of the launcher: CAP_KILL, and those that the needs name.
std::vector<KeptCapability> launcher_capabilities(const LauncherNeeds& needs);

/// Takes from the launcher what its programs get back when they are executed by root: capabilities but the above;
/// not dumpable. What they would inherit is left alone: bounding set, no-new-privileges, Landlock, seccomp, limits.
Status lockdown_launcher(const LauncherNeeds& needs);

/// What one order makes necessary.
struct SetterNeeds {
    bool sets_clock = false;
    const char* devices = nullptr;  // directory beneath which files are read and written
};

/// Locks a setter down: CAP_SYS_TIME if it sets the clock, else no capability; no new privileges; Landlock; seccomp.
Status lockdown_setter(const SetterNeeds& needs);

/// Locks down who waits for a program that a host has started, once that is on its way: CAP_KILL, no new privileges, no file that
/// could be written but those it has open.
Status lockdown_supervisor();

/// A program that a host has started, just before it is executed, as the user that it runs as: it and all that it starts get no
/// new privileges, of root's no capability, and write nowhere but beneath `write`, if there are any, and to /dev/null.
Status confine_program(std::span<const int> write);

/// What the inspector's children hold follows from the commands that the policy allows.
struct InspectorNeeds {
    /// A file or directory that can be opened for reading after the lockdown. One that is not there stays closed.
    struct Tree {
        const char* path;
        bool list = false;  // directories can be listed
    };
    std::vector<Tree> trees;
    bool asks_netlink = false;
    bool follows_links = false;  // a new child opens files whose links may lead anywhere
};

/// Locks the inspector down: pid 1 of new user, ipc, pid and cgroup namespaces, where the ids are mapped as for the
/// nursery. Everything that it has open stays open. If `needs.follows_links` it can read any file that an ordinary user can
/// and whose name it knows, so that a new child can; it opens none itself.
Status lockdown_inspector(uid_t uid, gid_t gid, const InspectorNeeds& needs);

/// The descriptor of the recorder's that is not the log's: the latest time is written over the one before.
inline constexpr int kRecordersClock = 6;

/// Locks the recorder down. It may open, make and rename files below `directory` and nothing else; everything that it has
/// open stays open.
Status lockdown_recorder(FdRef directory);

/// The filter of the inspector's children to come. In the inspector, before its lockdown. Errors: kSystem.
Result<Filter> filter_of_inspector_children(const InspectorNeeds& needs);

/// Locks a child of the inspector down further, before its first query: it can open files below `needs.trees` and nothing
/// else, and can start no process.
Status lockdown_inspector_child(const InspectorNeeds& needs, const Filter& filter);

/// Locks down the throw-away process that compiles a policy: it keeps its open descriptors and may read,
/// write and end.
Status lockdown_compiler();

}  // namespace sallyport::sandbox
