#include "inspector/hung.hpp"

#include <sys/mman.h>

#include <algorithm>
#include <new>

#include "base/result.hpp"

namespace sallyport::inspector {

namespace {

constexpr std::chrono::minutes kLeftOut(5);
constexpr std::size_t kMost = 64;

}  // namespace

HungDevices::HungDevices() {
    static_assert(std::atomic<std::uint64_t>::is_always_lock_free);
    void* page =
        ::mmap(nullptr, sizeof *looked_at_, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    SALLYPORT_CHECK(page != MAP_FAILED);
    looked_at_ = new (page) std::atomic<std::uint64_t>(0);
}

bool HungDevices::has(dev_t device) const {
    return std::ranges::find(hung_, device, &Hung::device) != hung_.end();
}

void HungDevices::add_looked_at(Clock::time_point now) {
    const std::uint64_t device = looked_at_->exchange(0);
    if (device == 0) return;
    if (hung_.size() == kMost) hung_.erase(hung_.begin());
    hung_.push_back({.device = device, .until = now + kLeftOut});
}

void HungDevices::forget_old(Clock::time_point now) {
    std::erase_if(hung_, [now](const Hung& one) { return one.until <= now; });
}

}  // namespace sallyport::inspector
