// Runs in:  starter
#include "broker/start/kept_state.hpp"

#include <fcntl.h>
#include <sys/file.h>
#include <unistd.h>

#include <cerrno>

#include "base/lock_file.hpp"
#include "ipc/limits.hpp"

namespace sallyport::starter {

namespace {

constexpr const char* kTime = "sallyport.clock";
constexpr const char* kHandles = "sallyport.state";

Status lock(FdRef file) {
    if (::flock(file.get(), LOCK_EX | LOCK_NB) == 0) return {};
    if (errno != EWOULDBLOCK) return system_error("flock");
    return failure(
        Errc::kInvalid,
        "another agent uses this state directory, or somebody who could open sallyport.state has locked it: "
        "`fuser -v sallyport.state` there says who");
}

}  // namespace

Result<KeptTime> open_kept_time(FdRef state_directory) {
    constexpr int kFlags = O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK;
    KeptTime kept{.file = UniqueFd(::openat(state_directory.get(), kTime, kFlags, 0600))};
    if (!kept.file.is_open()) return system_error(kTime);
    const ssize_t got = ::pread(kept.file.get(), &kept.floor, sizeof kept.floor, 0);
    if (got < 0) return system_error(kTime);
    if ((got != 0 && got != sizeof kept.floor) || kept.floor < 0 || kept.floor >= kEndOfTime)
        return failure(
            Errc::kInvalid,
            "sallyport.clock holds no time; without the file, expired rules are trusted to the clock");
    return kept;
}

Result<KeptHandles> reserve_handles(FdRef state_directory) {
    constexpr int kFlags = O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK;
    // Opened read-only: it is kept open only for its lock.
    UniqueFd file(::openat(state_directory.get(), kHandles, O_RDONLY | O_CREAT | kFlags, 0600));
    if (!file.is_open()) return system_error(kHandles);
    TRY(close_to_others(file));
    TRY(lock(file));
    std::int64_t next = 0;
    const ssize_t got = ::pread(file.get(), &next, sizeof next, 0);
    if (got < 0) return system_error(kHandles);
    if (got == 0) next = kFirstHandle;
    if ((got != 0 && got != sizeof next) || next < kFirstHandle || next > kLastHandle)
        return failure(Errc::kInvalid, "sallyport.state: not a handle counter");
    const std::int64_t after = next + kHandlesPerRun;
    const UniqueFd written(::openat(state_directory.get(), kHandles, O_WRONLY | kFlags));
    if (::pwrite(written.get(), &after, sizeof after, 0) != sizeof after) return system_error(kHandles);
    return KeptHandles{.lock = std::move(file), .first = next};
}

Status refuse_used(FdRef state_directory) {
    const UniqueFd file(::openat(state_directory.get(), kHandles, O_RDONLY | O_CLOEXEC | O_NOFOLLOW));
    return file.is_open() ? lock(file) : Status();
}

}  // namespace sallyport::starter
