// Stops the guard and its children at every call that counts, from outside, and kills there.
#pragma once

#include <sys/types.h>

#include <array>
#include <atomic>
#include <memory>
#include <vector>

#include "tests/support/process.hpp"

namespace sallyport::test {

/// Follows `guard` by ptrace. A step is the beginning of a clone, capset, syncfs or sendmsg, or the beginning or end of a freeze or
/// thaw, of whichever of these processes. At step number `step` all of `victims` are killed with SIGKILL, and the others
/// let go.
class Tracer {
public:
    enum class Victim : std::uint8_t { kBroker, kNursery, kWorker, kGuard, kFreezer, kSpare, kPlanner };
    struct Order {
        pid_t guard = -1;
        int step = 0;
        std::vector<Victim> victims;
        std::array<pid_t, 3> known = {};  // broker, nursery, worker
    };
    explicit Tracer(const Order& order);

    /// Follows already.
    [[nodiscard]] bool is_ready() const;
    /// The step was reached and the victims were killed.
    [[nodiscard]] bool has_killed(milliseconds patience) { return child_->wait(patience) == 0; }
    [[nodiscard]] bool is_waiting() const { return !child_->has_ended(); }
    [[nodiscard]] std::vector<pid_t> family() const;
    /// Whether one of those killed was not the worker: a victim may not have been born yet.
    [[nodiscard]] bool has_killed_more_than_a_worker() const { return shared_->is_vital; }

private:
    struct Shared {
        std::atomic<bool> is_ready;
        std::atomic<bool> is_vital;
        std::atomic<std::size_t> count;
        std::array<std::atomic<pid_t>, 64> children;  // of the guard: freezer, spare, helpers
        std::atomic<pid_t> planner;                   // the child before these; 0 once it has ended
    };
    static int follow(const Order& order, Shared& shared);
    std::shared_ptr<Shared> shared_;
    std::unique_ptr<Child> child_;
};

}  // namespace sallyport::test
