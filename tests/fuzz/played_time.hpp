// Stands in for the kernel's clocks and for ppoll(2): time passes when the fuzzer says so, and nobody waits.
#pragma once

#include <cstdint>

namespace sallyport::fuzz {

/// CLOCK_BOOTTIME and CLOCK_MONOTONIC go on by so much. They stand still otherwise.
void pass_ns(std::int64_t ns);

/// The wall clock is so far from the real one.
void set_wall_offset(std::int64_t seconds);
std::int64_t wall_offset();

/// Back to the start.
void reset_time();

/// Whether the broker's loop has looked since this was last asked, and then found nothing to hear and nothing due.
bool found_nothing();

}  // namespace sallyport::fuzz
