// Self-proof: compares what the kernel shows of a process with what was meant to be installed.
// Runs in:  broker, before it serves; the demo and the tests
// Relies on: /proc
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <string>
#include <vector>

#include "base/result.hpp"
#include "base/unique_fd.hpp"

namespace sallyport::sandbox {

/// What /proc shows of one process.
struct Credentials {
    uid_t uid[4] = {};  // real, effective, saved, file system
    gid_t gid[4] = {};
    bool has_groups = false;             // supplementary ones
    std::uint64_t capabilities[5] = {};  // inheritable, permitted, effective, bounding, ambient
    bool no_new_privileges = false;
    int seccomp_mode = 0;
    int seccomp_filters = 0;
};

/// Parses the text of /proc/PID/status, read from `status` (an open descriptor of that file) from its
/// beginning. Errors: kSystem, kProof if a line is missing.
Result<Credentials> read_credentials(FdRef status);

/// What /proc must show.
struct Expected {
    uid_t uid = 0;
    gid_t gid = 0;
    bool groups_are_ours = false;    // no supplementary groups; an ordinary user cannot drop his
    std::uint64_t capabilities = 0;  // permitted and effective; inheritable and ambient must be 0
    bool bounding_is_ours = true;  // an ordinary user outside a user namespace cannot empty its bounding set
    int seccomp_filters = 1;       // at the least
    bool is_launcher =
        false;  // only ids and capabilities are compared: the programs that it starts would inherit the rest
};

/// Errors: kProof with the name of the first difference.
Status compare(const Expected& expected, const Credentials& held);

/// Checks that `process` (a descriptor of /proc/PID) has namespaces of its own, other than the caller's, for
/// user, mnt, net, ipc, uts, pid and cgroup, and a root directory that is empty and read-only. Errors: kProof
/// naming what is shared, kSystem.
Status prove_apart(FdRef process);

/// Does the same for a process that sees the guest's mounts, network and host name: user, ipc, pid and cgroup.
Status prove_processes_apart(FdRef process);

}  // namespace sallyport::sandbox
