// The arena: sealed shared memory for file contents, mapped by the broker and by the worker.
// Runs in:  broker, worker
// Relies on: memfd seals, so that no peer can make our mapping fault by shrinking the file
#include "ipc/arena.hpp"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include <utility>

namespace sallyport::ipc {

Arena::Arena(UniqueFd fd, std::span<std::byte> memory) : fd_(std::move(fd)), memory_(memory) {}

Arena::Arena(Arena&& other) noexcept
    : fd_(std::move(other.fd_)), memory_(std::exchange(other.memory_, std::span<std::byte>{})) {}

Arena::~Arena() {
    if (!memory_.empty()) ::munmap(memory_.data(), memory_.size());
}

Result<Arena> Arena::map_whole(UniqueFd fd) {
    void* memory = ::mmap(nullptr, kArenaSize, PROT_READ | PROT_WRITE, MAP_SHARED, fd.get(), 0);
    if (memory == MAP_FAILED) return system_error("mmap");
    return Arena(std::move(fd), std::span(static_cast<std::byte*>(memory), kArenaSize));
}

Result<Arena> Arena::create() {
    UniqueFd fd(::memfd_create("sallyport-arena", MFD_CLOEXEC | MFD_ALLOW_SEALING));
    if (!fd.is_open()) return system_error("memfd_create");
    if (::ftruncate(fd.get(), kArenaSize) != 0) return system_error("ftruncate");
    if (::fcntl(fd.get(), F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL) != 0)
        return system_error("F_ADD_SEALS");
    return map_whole(std::move(fd));
}

Result<Arena> Arena::map(UniqueFd fd) {
    struct stat info{};
    if (::fstat(fd.get(), &info) != 0) return system_error("fstat");
    if (info.st_size != kArenaSize) return failure(Errc::kInvalid, "arena: wrong size");
    return map_whole(std::move(fd));
}

std::span<std::byte> Arena::header() const {
    return memory_.first(kArenaHeader);
}

Result<std::span<std::byte>> Arena::extent(std::uint32_t offset, std::uint32_t size) const {
    if (size == 0 || size > kArenaData || offset > kArenaData - size)
        return failure(Errc::kInvalid, "extent: outside the arena");
    return memory_.subspan(kArenaHeader + offset, size);
}

std::span<std::byte> Arena::chunk(std::size_t number) const {
    SALLYPORT_CHECK(number < kChunks);
    return memory_.subspan(kArenaHeader + number * kChunk, kChunk);
}

Status Arena::wipe() {
    if (::madvise(memory_.data(), memory_.size(), MADV_REMOVE) != 0)
        return system_error("madvise(MADV_REMOVE)");
    return {};
}

Status Arena::unlock() const {
    if (::munlock(memory_.data(), memory_.size()) != 0) return system_error("munlock");
    return {};
}

}  // namespace sallyport::ipc
