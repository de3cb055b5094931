// The latest time that an agent with this state directory has seen: sallyport.clock, eight bytes in the machine's order.
// Runs in:  broker, before lockdown(); the recorder writes it
#include "broker/kept_time.hpp"

#include <fcntl.h>
#include <unistd.h>

#include "ipc/limits.hpp"

namespace sallyport::broker {

namespace {

constexpr const char* kName = "sallyport.clock";

}  // namespace

Result<KeptTime> open_kept_time(FdRef state_directory) {
    constexpr int kFlags = O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK;
    KeptTime kept{.file = UniqueFd(::openat(state_directory.get(), kName, kFlags, 0600))};
    if (!kept.file.is_open()) return system_error(kName);
    const ssize_t got = ::pread(kept.file.get(), &kept.floor, sizeof kept.floor, 0);
    if (got < 0) return system_error(kName);
    if ((got != 0 && got != sizeof kept.floor) || kept.floor < 0 || kept.floor >= kEndOfTime)
        return failure(
            Errc::kInvalid,
            "sallyport.clock holds no time; without the file, expired rules are trusted to the clock");
    return kept;
}

}  // namespace sallyport::broker
