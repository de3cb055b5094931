#include "worker/journal.hpp"

#include <algorithm>
#include <atomic>

#include "ipc/limits.hpp"

namespace sallyport::worker {

namespace {

constexpr std::uint64_t kOurPage = 0x314C414E52554F4A;  // "JOURNAL1"
constexpr std::size_t kWords = 8;

}  // namespace

Journal::Journal(std::span<std::byte> page)
    : words_(static_cast<std::uint64_t*>(static_cast<void*>(page.data())), kWords) {}

void Journal::store(Word word, std::uint64_t value) const {
    std::atomic_ref(words_[word]).store(value, std::memory_order_release);
}

std::uint64_t Journal::load(Word word) const {
    return std::atomic_ref(words_[word]).load(std::memory_order_acquire);
}

Owed Journal::take_over() {
    Owed owed;
    if (load(kMagic) == kOurPage) {
        const std::uint64_t taken = load(kTaken);
        const std::uint64_t answered = load(kAnswered);
        const std::uint64_t stopped = load(kStopped);
        std::uint64_t open = taken >= answered ? std::min<std::uint64_t>(taken - answered, kMaxQueued) : 0;
        owed.half_line = load(kHalfLine) != 0;
        if (owed.half_line && open > 0) --open;
        const bool inside = stopped == static_cast<std::uint64_t>(Stopped::kInsideLine);
        const bool at_line_end = stopped == static_cast<std::uint64_t>(Stopped::kAtLineEnd);
        owed.replies = static_cast<std::size_t>(open) + (inside || at_line_end ? 1 : 0);
        owed.skip_line = inside || stopped == static_cast<std::uint64_t>(Stopped::kSkipping);
    }
    // From here on this worker owes the lines for these.
    stopped_ = owed.skip_line ? Stopped::kSkipping : Stopped::kBetweenValues;
    taken_ = owed.replies + (owed.half_line ? 1 : 0);
    store(kMagic, 0);
    store(kTaken, taken_);
    store(kAnswered, 0);
    store(kHalfLine, owed.half_line ? 1 : 0);
    store(kStopped, static_cast<std::uint64_t>(stopped_));
    store(kMagic, kOurPage);
    return owed;
}

void Journal::input_stopped(Stopped where) {
    if (where == stopped_) return;
    stopped_ = where;
    store(kStopped, static_cast<std::uint64_t>(where));
}

void Journal::end_write(std::size_t lines, bool at_line_end) {
    answered_ += lines;
    store(kAnswered, answered_);
    store(kHalfLine, at_line_end ? 0 : 1);
}

}  // namespace sallyport::worker
