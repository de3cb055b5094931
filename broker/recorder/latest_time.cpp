// Runs in:  recorder
#include "broker/recorder/latest_time.hpp"

#include <unistd.h>

#include <cerrno>

#include "ipc/limits.hpp"

namespace sallyport::recorder {

Result<LatestTime> LatestTime::open(UniqueFd file) {
    LatestTime time(std::move(file));
    if (time.look() != 0) return system_error("sallyport.clock");
    return time;
}

int LatestTime::look() {
    std::int64_t kept = 0;
    if (::pread(file_.get(), &kept, sizeof kept, 0) < 0) return errno;
    kept_ = kept;
    is_known_ = true;
    return 0;
}

int LatestTime::keep(std::int64_t time) {
    if (const int fault = is_known_ ? 0 : look(); fault != 0) return fault;
    if (time <= kept_ || time >= kEndOfTime) return 0;
    kept_ = time;
    const ssize_t put = ::pwrite(file_.get(), &time, sizeof time, 0);
    return put == sizeof time ? 0 : put < 0 ? errno : ENOSPC;
}

}  // namespace sallyport::recorder
