// The devices whose file systems did not answer. A child notes in shared memory which device it asks. If the inspector has to
// kill it, later children skip that device.
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

    /// Called before the lockdown; shares a page with all later children.
    HungDevices();

    /// In a child: it is about to ask the file system of `device`, or (0) none.
    void look_at(dev_t device) const { *looked_at_ = device; }
    [[nodiscard]] bool has(dev_t device) const;

    /// In the inspector: the device that the killed child was asking is skipped for some minutes.
    void add_looked_at(Clock::time_point now);
    /// Devices whose time is over are asked again.
    void forget_old(Clock::time_point now);

private:
    struct Hung {
        std::uint64_t device;
        Clock::time_point until;
    };
    // THREAT: a child that was taken over writes any number here. At worst the sizes of that file system are left out.
    std::atomic<std::uint64_t>* looked_at_;
    std::vector<Hung> hung_;
};

}  // namespace sallyport::inspector
