// Writes JSON like qemu-ga: one space after ':' and ',', only ASCII.
// Runs in:  worker
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "worker/json_value.hpp"

namespace sallyport::worker {

/// Appends `text` in quotes. Other characters than ASCII become \uXXXX with upper-case digits, a broken sequence \uFFFD.
void append_string(std::string& out, std::string_view text);

void append_integer(std::string& out, std::int64_t value);
void append_unsigned(std::string& out, std::uint64_t value);

/// Like C's %.17g. Infinity, which the host can write as 1E400, is written as 1e999: valid JSON that reads as infinity.
void append_double(std::string& out, double value);

/// Appends a value of the host, however deep.
void append_value(std::string& out, JsonValue value);

}  // namespace sallyport::worker
