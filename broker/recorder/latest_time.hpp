// The latest time that the broker has seen, kept in the state directory for the next start.
// Runs in:  recorder
// Input:    times of a broker that may have been taken over
#pragma once

#include <cstdint>

#include "base/result.hpp"
#include "base/unique_fd.hpp"

namespace sallyport::recorder {

/// THREAT: a broker that was taken over sets the time back, so that a rule which has expired lives again after the next start; or
/// writes what the next start refuses. INVARIANT: the file holds a time, and it only grows.
class LatestTime {
public:
    /// Errors: kSystem.
    static Result<LatestTime> open(UniqueFd file);

    /// Writes `time`, if that is later than what is kept. Gives back an error number, or 0.
    int keep(std::int64_t time);

private:
    LatestTime(UniqueFd file, std::int64_t kept) : file_(std::move(file)), kept_(kept) {}
    UniqueFd file_;
    std::int64_t kept_;
};

}  // namespace sallyport::recorder
