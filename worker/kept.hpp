// How much memory a buffer keeps from one request to the next.
// Runs in:  worker
#pragma once

#include <cstddef>

namespace sallyport::worker {

/// Enough for requests of a megabyte to be read without a new allocation. The memory of longer ones is freed.
inline constexpr std::size_t kKeptMemory = std::size_t{2} << 20U;
/// For buffers of which there are many.
inline constexpr std::size_t kKeptOfMany = std::size_t{16} << 10U;

/// Empties a string or vector. By swap: assigning an empty string would keep the memory.
template <typename Buffer>
void empty(Buffer& buffer, std::size_t kept = kKeptMemory) {
    if (buffer.capacity() * sizeof(buffer[0]) > kept)
        Buffer().swap(buffer);
    else
        buffer.clear();
}

}  // namespace sallyport::worker
