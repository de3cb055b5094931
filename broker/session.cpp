// The broker's state: what is open for the host, and where the present worker is in its conversation.
// Runs in:  broker, after lockdown()
#include "broker/session.hpp"

#include <fcntl.h>
#include <sys/file.h>
#include <unistd.h>

#include <cerrno>

#include "ipc/limits.hpp"

namespace sallyport::broker {

Result<HandleCounter> HandleCounter::open(FdRef state_directory) {
    constexpr int kFlags = O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK;
    // What is kept for its lock cannot be written.
    UniqueFd file(::openat(state_directory.get(), "sallyport.state", O_RDONLY | O_CREAT | kFlags, 0600));
    if (!file.is_open()) return system_error("sallyport.state");
    if (::flock(file.get(), LOCK_EX | LOCK_NB) != 0) {
        if (errno == EWOULDBLOCK) return failure(Errc::kInvalid, "another agent uses this state directory");
        return system_error("flock");
    }
    std::int64_t next = 0;
    const ssize_t got = ::pread(file.get(), &next, sizeof next, 0);
    if (got < 0) return system_error("sallyport.state");
    if (got == 0) next = kFirstHandle;
    if ((got != 0 && got != sizeof next) || next < kFirstHandle || next > kLastHandle)
        return failure(Errc::kInvalid, "sallyport.state: not a handle counter");
    const std::int64_t after = next + kHandlesPerRun;
    const UniqueFd written(::openat(state_directory.get(), "sallyport.state", O_WRONLY | kFlags));
    if (::pwrite(written.get(), &after, sizeof after, 0) != sizeof after)
        return system_error("sallyport.state");
    return HandleCounter(std::move(file), next);
}

Result<bool> HandleCounter::is_free(FdRef state_directory) {
    const UniqueFd file(
        ::openat(state_directory.get(), "sallyport.state", O_RDONLY | O_CLOEXEC | O_NOFOLLOW));
    if (!file.is_open() || ::flock(file.get(), LOCK_EX | LOCK_NB) == 0) return true;
    if (errno == EWOULDBLOCK) return false;
    return system_error("flock");
}

Result<std::int64_t> HandleCounter::take() {
    if (next_ == end_) return failure(Errc::kLimit, "the handles of this run are used up");
    return next_++;
}

std::string_view rule_id(const policy::Policy& policy, const policy::Decision& decision) {
    return decision.rule == policy::kNoRule ? std::string_view() : policy.rules[decision.rule].id;
}

}  // namespace sallyport::broker
