// What the shipped unit hides of /proc, and what it says in its place.
#pragma once

#include <sched.h>
#include <sys/mount.h>
#include <unistd.h>

#include <string>

#include "tests/support/process.hpp"

namespace sallyport::test {

/// Mounts /proc with `options` in a mount namespace of this process's own; a process that cannot ends with 122.
inline void hide_proc(const char* options) {
    const bool is_mounted = ::unshare(CLONE_NEWNS) == 0 &&
                            ::mount("none", "/", nullptr, MS_REC | MS_PRIVATE, nullptr) == 0 &&
                            ::mount("proc", "/proc", "proc", MS_NOSUID | MS_NODEV | MS_NOEXEC, options) == 0;
    if (!is_mounted) ::_exit(122);
}

/// The id of this boot, as the kernel writes it.
inline std::string boot_id() {
    return read_file("/proc/sys/kernel/random/boot_id");
}

/// How systemd says it to a unit (%b).
inline std::string said_boot(std::string id = boot_id()) {
    std::erase_if(id, [](char one) { return one == '-' || one == '\n'; });
    return "SALLYPORT_BOOT=" + id;
}

/// One that was another, in the kernel's words.
inline std::string other_boot() {
    std::string id = boot_id();
    id[0] = id[0] == '0' ? '1' : '0';
    return id;
}

}  // namespace sallyport::test
