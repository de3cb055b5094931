// The latest time that the broker has seen, kept in the state directory for the next start.
// Runs in:  recorder
// Input:    times from a broker that may have been taken over
#pragma once

#include <cstdint>

#include "base/result.hpp"
#include "base/unique_fd.hpp"

namespace sallyport::recorder {

/// THREAT: a broker that was taken over sets the time back, so that an expired rule is valid again after the next start, or
/// writes something that the next start refuses. INVARIANT: the file holds a valid time, and it only grows.
class LatestTime {
public:
    /// Errors: kSystem.
    static Result<LatestTime> open(UniqueFd file);

    /// Writes `time` if it is later than the kept one. Returns an errno, or 0.
    int keep(std::int64_t time);
    /// Another process may have written the file. Nothing more is kept until it has been read again.
    void forget() { is_known_ = false; }

private:
    explicit LatestTime(UniqueFd file) : file_(std::move(file)) {}
    int look();

    UniqueFd file_;
    std::int64_t kept_ = 0;
    bool is_known_ = false;  // `kept_` is what the file holds
};

}  // namespace sallyport::recorder
