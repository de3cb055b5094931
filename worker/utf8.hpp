// UTF-8 as the wire has it: code points, broken sequences, and the code points that are refused.
// Runs in:  worker
// Input:    strings of the host; names and messages from inside the guest
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>

namespace sallyport::worker {

struct CodePoint {
    std::int32_t value = -1;  // negative: a broken sequence, or a code point that is no character
    std::size_t size = 0;     // bytes that it takes up, broken or not
};

/// The first code point of `text`, which is not empty. One broken sequence is as long as qemu-ga takes it to
/// be: a first byte and those that continue it. C0 80 is U+0000, as qemu-ga writes it inside strings.
CodePoint first_code_point(std::string_view text);

/// Whether `text` has one of U+FDD0..FDEF, U+xxFFFE, U+xxFFFF, or is no UTF-8.
bool has_noncharacter(std::string_view text);

/// Whether a byte above 0x7F is in `text`.
bool has_non_ascii(std::string_view text);

}  // namespace sallyport::worker
