// Runs in:  broker, after lockdown()
#include "broker/serve/open_file.hpp"

#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

#include <array>
#include <compare>
#include <ctime>

namespace sallyport::broker {

namespace {

constexpr std::int64_t kDay = 24 * 60 * 60;

bool is_later(const timespec& one, const timespec& other) {
    return one.tv_sec != other.tv_sec ? one.tv_sec > other.tv_sec : one.tv_nsec > other.tv_nsec;
}

// The kernel's rule for `relatime`, with an hour of margin.
bool would_set_atime(const OpenFile& file, const struct stat& info) {
    if (file.atime == ipc::OpenedReport::NEVER) return false;
    if (file.atime != ipc::OpenedReport::RELATIVE) return true;
    timespec now{};
    ::clock_gettime(CLOCK_REALTIME, &now);
    const std::int64_t age = now.tv_sec - info.st_atim.tv_sec;
    return !is_later(info.st_atim, info.st_mtim) || !is_later(info.st_atim, info.st_ctim) || age < 0 ||
           age > kDay - 3600;
}

}  // namespace

std::optional<ReadPart> read_cached(const OpenFile& file, std::span<std::byte> into) {
    struct stat info{};
    if (!file.fd.is_open() || ::fstat(file.fd.get(), &info) != 0 || would_set_atime(file, info))
        return std::nullopt;
    // Beyond the rule's size limit a clerk has to answer.
    const std::uint64_t end = file.position + into.size();
    if (file.max_size && (end < file.position || end > *file.max_size)) return std::nullopt;
    const iovec part{.iov_base = into.data(), .iov_len = into.size()};
    const ssize_t got = ::preadv2(file.fd.get(), &part, 1, static_cast<off_t>(file.position), RWF_NOWAIT);
    if (got < 0) return std::nullopt;
    const ReadPart read{.size = static_cast<std::size_t>(got),
                        .eof = static_cast<std::size_t>(got) < into.size()};
    // Short, but not at the end of the file: the rest is not in the cache.
    if (read.eof && file.position + read.size < static_cast<std::uint64_t>(info.st_size)) return std::nullopt;
    return read;
}

Result<std::int64_t> seek(OpenFile& file, std::int64_t offset, std::int64_t whence) {
    constexpr std::array kWhence{SEEK_SET, SEEK_CUR, SEEK_END};
    if (::lseek(file.fd.get(), static_cast<off_t>(file.position), SEEK_SET) < 0) return system_error("lseek");
    const off_t at = ::lseek(file.fd.get(), offset, kWhence.at(static_cast<std::size_t>(whence)));
    if (at < 0) return system_error("lseek");
    file.position = static_cast<std::uint64_t>(at);
    return at;
}

}  // namespace sallyport::broker
