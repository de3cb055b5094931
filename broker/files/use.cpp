// Runs in:  files, in a clerk
#include "broker/files/use.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <cerrno>

namespace sallyport::files {

namespace {

Result<std::uint64_t> size_of(FdRef file) {
    struct stat info{};
    if (::fstat(file.get(), &info) != 0) return system_error("fstat");
    return static_cast<std::uint64_t>(info.st_size);
}

Result<std::uint64_t> place_of(FdRef file, const Reach& reach) {
    if (reach.place) return *reach.place;
    const off_t at = ::lseek(file.get(), 0, SEEK_CUR);
    if (at < 0) return system_error("lseek");
    return static_cast<std::uint64_t>(at);
}

Result<ReadResult> read_on(FdRef file, std::span<std::byte> into, const Reach& reach) {
    ReadResult result;
    while (result.size < into.size()) {
        const auto rest = into.subspan(result.size);
        const ssize_t got = reach.place ? ::pread(file.get(), rest.data(), rest.size(),
                                                  static_cast<off_t>(*reach.place + result.size))
                                        : ::read(file.get(), rest.data(), rest.size());
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

Result<bool> would_outgrow(FdRef file, std::uint64_t size, const Reach& reach) {
    if (!reach.most || size == 0) return false;
    const int flags = ::fcntl(file.get(), F_GETFL);
    if (flags < 0) return system_error("fcntl");
    const std::uint64_t at = (flags & O_APPEND) != 0 ? TRY(size_of(file)) : TRY(place_of(file, reach));
    return at > *reach.most || size > *reach.most - at;
}

}  // namespace

Result<ReadResult> read_full(FdRef file, std::span<std::byte> into, const Reach& reach) {
    if (!reach.most) return read_on(file, into, reach);
    const std::uint64_t at = TRY(place_of(file, reach));
    if (at >= *reach.most && TRY(size_of(file)) > *reach.most) {
        errno = EFBIG;
        return system_error("the file has become larger than its rule accepts");
    }
    const std::uint64_t left = at < *reach.most ? *reach.most - at : 0;
    if (into.size() <= left) return read_on(file, into, reach);
    ReadResult result = TRY(read_on(file, into.first(static_cast<std::size_t>(left)), reach));
    if (result.size == left) result.eof = TRY(size_of(file)) <= *reach.most;
    return result;
}

Written write_all(FdRef file, std::span<const std::byte> from, const Reach& reach) {
    const auto outgrows = would_outgrow(file, from.size(), reach);
    if (!outgrows) return {.sys_errno = outgrows.error().sys_errno};
    if (*outgrows) return {.sys_errno = EFBIG};
    Written written;
    while (written.size < from.size()) {
        const auto rest = from.subspan(written.size);
        const ssize_t put = reach.place ? ::pwrite(file.get(), rest.data(), rest.size(),
                                                   static_cast<off_t>(*reach.place + written.size))
                                        : ::write(file.get(), rest.data(), rest.size());
        if (put >= 0) {
            written.size += static_cast<std::size_t>(put);
        } else if (errno != EINTR) {
            written.sys_errno = errno;
            break;
        }
    }
    return written;
}

Result<std::int64_t> seek(FdRef file, std::int64_t offset, std::uint32_t whence) {
    constexpr std::array kWhence{SEEK_SET, SEEK_CUR, SEEK_END};
    const off_t at = ::lseek(file.get(), offset, kWhence.at(whence));
    if (at < 0) return system_error("lseek");
    return at;
}

Status close(UniqueFd file) {
    if (::close(file.release()) != 0) return system_error("close");
    return {};
}

}  // namespace sallyport::files
