// The devices whose file systems did not answer. A child says in shared memory which it looks at; the inspector reads there
// what a child was at that it had to kill, and the children after that one leave it out.
// Runs in:  inspector
#pragma once

#include <sys/types.h>

#include <atomic>
#include <chrono>
#include <cstdint>
#include <vector>

namespace sallyport::inspector {

class HungDevices {
public:
    using Clock = std::chrono::steady_clock;

    /// Before the lockdown; shares a page with all children to come.
    HungDevices();

    /// In a child: it is about to ask the file system of `device`, or (0) none.
    void look_at(dev_t device) const { *looked_at_ = device; }
    [[nodiscard]] bool has(dev_t device) const;

    /// In the inspector: what the child that is being killed looks at is left out for some minutes.
    void add_looked_at(Clock::time_point now);
    /// Those whose time is over are looked at again.
    void forget_old(Clock::time_point now);

private:
    struct Hung {
        std::uint64_t device;
        Clock::time_point until;
    };
    // THREAT: a child that was taken over writes any number here. Sizes of that file system are left out then.
    std::atomic<std::uint64_t>* looked_at_;
    std::vector<Hung> hung_;
};

}  // namespace sallyport::inspector
