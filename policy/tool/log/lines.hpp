// Lines of a file of any length, one at a time, in constant memory.
// Runs in:  the policy tool, after lockdown_compiler()
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string_view>

#include "base/unique_fd.hpp"

namespace sallyport::policy::log {

/// The agent writes none that is longer.
inline constexpr std::size_t kLongestLine = std::size_t{64} << 10U;

class Lines {
public:
    enum class Got : std::uint8_t {
        kLine,
        kTooLong,  // longer than kLongestLine; what it holds is passed over
        kEnd,
        kFault,  // errno says why it cannot be read
    };

    explicit Lines(FdRef file) : file_(file), buffer_(std::make_unique<Buffer>()) {}

    /// The next line, without its LF, valid until the next call. What follows the last LF is a line, too.
    Got next(std::string_view& line);

    /// Of the line that was got last; the first has number 1.
    [[nodiscard]] std::uint64_t number() const { return number_; }

private:
    static constexpr std::size_t kBuffer = std::size_t{1} << 18U;
    using Buffer = std::array<char, kBuffer>;
    static_assert(kBuffer > kLongestLine);

    bool fill();

    FdRef file_;
    std::unique_ptr<Buffer> buffer_;
    std::size_t begin_ = 0;  // of what is held and was not given
    std::size_t end_ = 0;
    std::uint64_t number_ = 0;
    bool is_at_end_ = false;
    bool is_too_long_ = false;  // what is held is the rest of such a line
};

}  // namespace sallyport::policy::log
