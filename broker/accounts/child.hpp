// The child that carries out one errand, and what it is made of.
// Runs in:  a child of the launcher
// Input:    an order that was decided twice; the system's user database; what a user has in his home directory
#pragma once

#include <sys/types.h>

#include <optional>
#include <string>

#include "ipc/launcher.pb.h"

namespace sallyport::accounts {

/// Its descriptors, lent, and whose child it is.
struct Ends {
    int report;
    int secret;  // a pipe with the line for chpasswd; -1: none
    pid_t launcher;
};

ipc::AccountDone done_as(ipc::AccountDone::Kind kind, int status = 0);

/// Carries it out, reports, and ends.
[[noreturn]] void run_child(const ipc::AccountTemplate& by, const ipc::AccountOrder& order, const Ends& ends);

/// What the system's database says of a user, whichever service that asks; nothing if it has none of that name, or he is root.
///
/// THREAT: the database is files, sockets and modules of others, and the name is a host's. It is asked by a process that has been made
/// nobody's before, and what comes back is checked.
std::optional<ipc::Account> look_up(const std::string& name);

/// Has chpasswd read the line. THREAT: what it writes may hold what it has read; nobody reads that.
ipc::AccountDone run_chpasswd(bool crypted, int secret);

/// Becomes the user for good: groups, group, user, no capability, nothing that it could gain by executing. 0, or the error: ESRCH if
/// the launcher, whose number this is, has gone.
int become(const ipc::Account& account, pid_t launcher);

/// In a process that has become the user: reads or changes his authorized_keys, as far as he could himself.
///
/// THREAT: the user, who is somebody else's enemy or has been taken over, does anything in his home directory at the same time. No link is
/// followed below it; a pipe or a device is not waited for; what is written is a new file that takes the place of the old one. And whatever is
/// reached in the end, it is reached with his rights.
ipc::AccountDone work_on_keys(const ipc::AccountTemplate& by, const ipc::AccountOrder& order,
                              const std::string& home);

}  // namespace sallyport::accounts
