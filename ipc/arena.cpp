// Runs in:  broker, worker, files
// Relies on: memfd seals, so that no peer can make our mapping fault by shrinking the file
#include "ipc/arena.hpp"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include <utility>

namespace sallyport::ipc {

Arena::Arena(Arena&& other) noexcept
    : fd_(std::move(other.fd_)), memory_(std::exchange(other.memory_, std::span<std::byte>{})) {}

Arena& Arena::operator=(Arena&& other) noexcept {
    std::swap(fd_, other.fd_);
    std::swap(memory_, other.memory_);
    return *this;
}

Arena::~Arena() {
    if (!memory_.empty()) ::munmap(memory_.data(), memory_.size());
}

Result<Arena> Arena::map_whole(FdRef fd) {
    void* memory = ::mmap(nullptr, kArenaSize, PROT_READ | PROT_WRITE, MAP_SHARED, fd.get(), 0);
    if (memory == MAP_FAILED) return system_error("mmap");
    Arena arena;
    arena.memory_ = std::span(static_cast<std::byte*>(memory), kArenaSize);
    return arena;
}

Result<Arena> Arena::create() {
    UniqueFd fd(::memfd_create("sallyport-arena", MFD_CLOEXEC | MFD_ALLOW_SEALING));
    if (!fd.is_open()) return system_error("memfd_create");
    if (::ftruncate(fd.get(), kArenaSize) != 0) return system_error("ftruncate");
    if (::fcntl(fd.get(), F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL) != 0)
        return system_error("F_ADD_SEALS");
    Arena arena = TRY(map_whole(fd));
    arena.fd_ = std::move(fd);
    return arena;
}

Result<Arena> Arena::map(UniqueFd fd) {
    struct stat info{};
    if (::fstat(fd.get(), &info) != 0) return system_error("fstat");
    if (info.st_size != kArenaSize) return failure(Errc::kInvalid, "arena: wrong size");
    return map_whole(fd);
}

std::span<std::byte> Arena::header() const {
    return memory_.first(kArenaHeader);
}

Result<std::span<std::byte>> Arena::extent(std::uint32_t offset, std::uint32_t size) const {
    if (memory_.empty() || size == 0 || size > kArenaData || offset > kArenaData - size)
        return failure(Errc::kInvalid, "extent: outside the arena");
    return memory_.subspan(kArenaHeader + offset, size);
}

std::span<std::byte> Arena::chunk(std::size_t number) const {
    SALLYPORT_CHECK(!memory_.empty() && number < kChunks);
    return memory_.subspan(kArenaHeader + number * kChunk, kChunk);
}

}  // namespace sallyport::ipc
