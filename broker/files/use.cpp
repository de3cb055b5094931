// Uses files that are open: reads, writes, moves about in them, closes them.
// Runs in:  broker, after lockdown()
#include "broker/files/use.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <cerrno>

namespace sallyport::broker::files {

namespace {

Result<std::uint64_t> size_of(FdRef file) {
    struct stat info{};
    if (::fstat(file.get(), &info) != 0) return system_error("fstat");
    return static_cast<std::uint64_t>(info.st_size);
}

Result<ReadResult> read_on(FdRef file, std::span<std::byte> into) {
    ReadResult result;
    while (result.size < into.size()) {
        const ssize_t got = ::read(file.get(), into.data() + result.size, into.size() - result.size);
        if (got > 0) {
            result.size += static_cast<std::size_t>(got);
        } else if (got == 0) {
            result.eof = true;
            return result;
        } else if (errno != EINTR) {
            if (result.size > 0) return result;
            return system_error("read");
        }
    }
    return result;
}

}  // namespace

Result<ReadResult> read_full(FdRef file, std::span<std::byte> into, std::optional<std::uint64_t> most) {
    if (!most) return read_on(file, into);
    const std::uint64_t at = TRY(write_position(file, false));
    if (at >= *most && TRY(size_of(file)) > *most) {
        errno = EFBIG;
        return system_error("the file has become larger than its rule accepts");
    }
    const std::uint64_t left = at < *most ? *most - at : 0;
    if (into.size() <= left) return read_on(file, into);
    ReadResult result = TRY(read_on(file, into.first(static_cast<std::size_t>(left))));
    if (result.size == left) result.eof = TRY(size_of(file)) <= *most;
    return result;
}

Written write_all(FdRef file, std::span<const std::byte> from) {
    Written written;
    while (written.size < from.size()) {
        const auto rest = from.subspan(written.size);
        const ssize_t put = ::write(file.get(), rest.data(), rest.size());
        if (put >= 0) {
            written.size += static_cast<std::size_t>(put);
        } else if (errno != EINTR) {
            written.sys_errno = errno;
            break;
        }
    }
    return written;
}

Result<std::uint64_t> write_position(FdRef file, bool append) {
    if (append) return size_of(file);
    const off_t at = ::lseek(file.get(), 0, SEEK_CUR);
    if (at < 0) return system_error("lseek");
    return static_cast<std::uint64_t>(at);
}

Result<std::int64_t> seek(FdRef file, std::int64_t offset, int whence) {
    constexpr std::array kWhence{SEEK_SET, SEEK_CUR, SEEK_END};
    const off_t at = ::lseek(file.get(), offset, kWhence.at(static_cast<std::size_t>(whence)));
    if (at < 0) return system_error("lseek");
    return at;
}

Status close(UniqueFd file) {
    if (::close(file.release()) != 0) return system_error("close");
    return {};
}

}  // namespace sallyport::broker::files
