// Runs in:  broker (puts), recorder (takes)
// Relies on: memfd seals, so that no peer can make our mapping fault by shrinking the file
#include "ipc/ring.hpp"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include <algorithm>
#include <cstring>
#include <utility>

namespace sallyport::ipc {

namespace {

// Each line is contiguous and follows its length, which is aligned to its own size.
using Length = std::uint64_t;
constexpr Length kSkip = ~Length{0};  // the next line is at the ring's beginning
constexpr std::uint64_t kRewind =
    4 << 12;  // an empty ring is reset after this many bytes, so that later pages stay untouched

constexpr std::uint64_t size_of(std::size_t line) {
    return (sizeof(Length) + line + sizeof(Length) - 1) / sizeof(Length) * sizeof(Length);
}
static_assert(kLogRing % sizeof(Length) == 0 && kLogRing > 4 * size_of(kMaxLogLine));

}  // namespace

void Ring::Unmap::operator()(Memory* memory) const {
    ::munmap(memory, sizeof *memory);
}

Result<Ring> Ring::map_whole(UniqueFd fd) {
    void* memory = ::mmap(nullptr, sizeof(Memory), PROT_READ | PROT_WRITE, MAP_SHARED, fd.get(), 0);
    if (memory == MAP_FAILED) return system_error("mmap");
    Ring ring;
    ring.fd_ = std::move(fd);
    ring.memory_.reset(static_cast<Memory*>(memory));
    return ring;
}

Result<Ring> Ring::create() {
    UniqueFd fd(::memfd_create("sallyport-log", MFD_CLOEXEC | MFD_ALLOW_SEALING));
    if (!fd.is_open()) return system_error("memfd_create");
    if (::ftruncate(fd.get(), sizeof(Memory)) != 0) return system_error("ftruncate");
    if (::fcntl(fd.get(), F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL) != 0)
        return system_error("F_ADD_SEALS");
    return map_whole(std::move(fd));
}

Result<Ring> Ring::map(UniqueFd fd) {
    struct stat info{};
    if (::fstat(fd.get(), &info) != 0) return system_error("fstat");
    if (info.st_size != sizeof(Memory)) return failure(Errc::kInvalid, "ring: wrong size");
    return map_whole(std::move(fd));
}

// THREAT: a recorder that was taken over gives any position. At worst the ring then counts as full.
std::uint64_t Ring::used() const {
    const std::uint64_t from = std::max<std::uint64_t>(words().taken, words().begin);
    return std::min<std::uint64_t>(put_ - from, kLogRing);
}

bool Ring::has_room() const {
    return kLogRing - used() > 4 * size_of(kMaxLogLine);
}

bool Ring::put(std::string_view line) {
    SALLYPORT_CHECK(line.size() <= kMaxLogLine);
    const std::uint64_t need = size_of(line.size());
    if (used() == 0 && put_ % kLogRing > kRewind) {
        put_ = (put_ / kLogRing + 1) * kLogRing;
        words().begin = put_;
    }
    const std::uint64_t at = put_ % kLogRing;
    const std::uint64_t skipped = kLogRing - at < need ? kLogRing - at : 0;
    if (kLogRing - used() < skipped + need) return false;
    char* const data = memory_->data.data();
    if (skipped != 0) std::memcpy(data + at, &kSkip, sizeof kSkip);
    char* const place = data + (skipped != 0 ? 0 : at);
    const Length length = line.size();
    std::memcpy(place, &length, sizeof length);
    std::memcpy(place + sizeof length, line.data(), line.size());
    put_ += skipped + need;
    words().put = put_;
    return true;
}

Result<bool> Ring::take(std::uint64_t& position, std::string& line) const {
    const std::uint64_t put = words().put;
    if (put == position) return false;
    const std::uint64_t from = std::max<std::uint64_t>(position, words().begin);
    const std::uint64_t ahead = put - from;
    std::uint64_t at = from % kLogRing;
    if (ahead == 0 || ahead > kLogRing || at % sizeof(Length) != 0)
        return failure(Errc::kInvalid, "ring: no position");
    std::uint64_t skipped = 0;
    const char* const data = memory_->data.data();
    Length length = 0;
    std::memcpy(&length, data + at, sizeof length);
    if (length == kSkip) {
        skipped = kLogRing - at;
        at = 0;
        std::memcpy(&length, data, sizeof length);
    }
    if (length > kMaxLogLine || skipped + size_of(length) > ahead || size_of(length) > kLogRing - at)
        return failure(Errc::kInvalid, "ring: not a line");
    line.assign(data + at + sizeof length, length);
    position = from + skipped + size_of(length);
    return true;
}

}  // namespace sallyport::ipc
