// The heap of a program that sees secrets: each block is wiped when it is freed.
// Runs in:  worker, broker, launcher
// THREAT: a secret was in a string that has grown, or in a message of libprotobuf, and its copy lies in freed memory until that is used
// again. Whoever reads this memory later finds it.
#include <malloc.h>

#include <cstdlib>
#include <cstring>
#include <new>

// Both, since what a sanitizer allocates only it can free. There is no way to go on without memory.
void* operator new(std::size_t size) {
    void* const block = std::malloc(size == 0 ? 1 : size);
    if (block == nullptr) std::abort();
    return block;
}

void operator delete(void* block) noexcept {
    if (block == nullptr) return;
    ::explicit_bzero(block, ::malloc_usable_size(block));
    std::free(block);
}

void operator delete(void* block, std::size_t /*size*/) noexcept {
    ::operator delete(block);
}
