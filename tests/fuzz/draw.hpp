// Choices from the bytes of a fuzzer.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <span>
#include <string>

namespace sallyport::fuzz {

/// Takes choices from the front of the input. An input that is used up gives zeros: the first of each set.
class Draw {
public:
    explicit Draw(std::span<const std::uint8_t> input) : left_(input) {}

    [[nodiscard]] bool is_empty() const { return left_.empty(); }

    std::uint8_t byte() {
        if (left_.empty()) return 0;
        const std::uint8_t value = left_.front();
        left_ = left_.subspan(1);
        return value;
    }

    /// A number below `count`, which is at most 256.
    std::size_t below(std::size_t count) { return byte() % count; }

    /// True for about one byte in `times`; never at the end of the input.
    bool rarely(std::size_t times) { return below(times) + 1 == times && times > 1; }

    /// One of a small set.
    template <typename T, std::size_t kSize>
    T one_of(const T (&set)[kSize]) {
        return set[below(kSize)];
    }

    /// At most `most` bytes as they stand in the input.
    std::string bytes(std::size_t most) {
        const std::size_t wanted = below(most + 1);  // which takes a byte itself
        const std::size_t size = std::min(wanted, left_.size());
        const std::string taken(left_.begin(), left_.begin() + static_cast<std::ptrdiff_t>(size));
        left_ = left_.subspan(size);
        return taken;
    }

private:
    std::span<const std::uint8_t> left_;
};

/// Ends the program if a promise is broken, and says which.
inline void promise(bool is_kept, const char* what) {
    if (is_kept) return;
    // Standard error has the audit log; ./dev fuzz throws it away.
    std::printf("broken promise: %s\n", what);
    (void)std::fflush(stdout);
    std::abort();
}

}  // namespace sallyport::fuzz
