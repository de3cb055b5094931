// UTF-8 on the wire: code points, broken sequences, and code points that are refused.
// Runs in:  worker
// Input:    strings of the host; names and messages from inside the guest
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>

namespace sallyport::worker {

struct CodePoint {
    std::int32_t value = -1;  // negative: a broken sequence, or a code point that is not a character
    std::size_t size = 0;     // bytes that it takes up, broken or not
};

/// The first code point of `text`, which is not empty. A broken sequence is as long as in qemu-ga: a first byte and its
/// continuation bytes. C0 80 is U+0000, as qemu-ga writes it inside strings.
CodePoint first_code_point(std::string_view text);

/// Whether `text` contains one of U+FDD0..FDEF, U+xxFFFE, U+xxFFFF, or is not UTF-8.
bool has_noncharacter(std::string_view text);

/// Whether `text` contains a byte above 0x7F.
bool has_non_ascii(std::string_view text);

}  // namespace sallyport::worker
