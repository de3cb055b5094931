// Opening, creating and using files for the host, below directories that the policy names.
// Runs in:  broker, after lockdown()
// Input:    paths that policy/decide has judged; the tree itself may be changed by local users at any moment
// Relies on: openat2(2); a descriptor of /proc/self/fd that was opened before lockdown
#include "broker/sys/files.hpp"

#include <fcntl.h>
#include <linux/openat2.h>
#include <sys/syscall.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <charconv>

#include "ipc/limits.hpp"

namespace sallyport::broker::sys {

namespace {

std::uint64_t resolve_flags(Links links) {
    switch (links) {
        case Links::kRefuse:
            return RESOLVE_BENEATH | RESOLVE_NO_MAGICLINKS | RESOLVE_NO_SYMLINKS;
        case Links::kFollowBeneath:
            return RESOLVE_BENEATH | RESOLVE_NO_MAGICLINKS;
        case Links::kFollowInRoot:
            return RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS;
    }
    check_failed();
}

Result<UniqueFd> open_how(FdRef directory, const std::string& name, open_how how) {
    // A concurrent rename makes the kernel's own check inconclusive: it says EAGAIN and wants to be asked
    // again.
    for (int tries = 0;; ++tries) {
        UniqueFd fd(
            static_cast<int>(::syscall(SYS_openat2, directory.get(), name.c_str(), &how, sizeof how)));
        if (fd.is_open()) return fd;
        if (errno != EAGAIN || tries == 16) return system_error("openat2");
    }
}

std::uint64_t use_flags(const OpenMode& mode) {
    const auto& wanted = mode.wanted;
    int flags = wanted.read && wanted.write ? O_RDWR : wanted.write ? O_WRONLY : O_RDONLY;
    if (mode.append) flags |= O_APPEND;
    return static_cast<std::uint64_t>(flags | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
}

struct FdName {
    std::array<char, 16> text{};
    explicit FdName(FdRef fd) { std::to_chars(text.data(), text.data() + text.size() - 1, fd.get()); }
};

bool is_kind_accepted(mode_t mode, const policy::Kinds& kinds) {
    switch (mode & S_IFMT) {
        case S_IFREG:
            return kinds.regular;
        case S_IFDIR:
            return kinds.directory;
        case S_IFIFO:
            return kinds.fifo;
        case S_IFSOCK:
            return kinds.socket;
        case S_IFCHR:
            return kinds.character_device;
        case S_IFBLK:
            return kinds.block_device;
        default:
            return false;
    }
}

}  // namespace

Result<UniqueFd> find_beneath(FdRef tree, const std::string& below, Links links) {
    return open_how(tree, below, {.flags = O_PATH | O_CLOEXEC, .mode = 0, .resolve = resolve_flags(links)});
}

Result<UniqueFd> find_directory_beneath(FdRef tree, const std::string& below, Links links) {
    return open_how(tree, below,
                    {.flags = O_PATH | O_CLOEXEC | O_DIRECTORY, .mode = 0, .resolve = resolve_flags(links)});
}

Result<UniqueFd> reopen(FdRef proc_self_fd, FdRef found, const OpenMode& mode) {
    const int flags = static_cast<int>(use_flags(mode)) | (mode.truncate ? O_TRUNC : 0);
    UniqueFd fd(::openat(proc_self_fd.get(), FdName(found).text.data(), flags));
    if (!fd.is_open()) return system_error("openat");
    return fd;
}

Result<UniqueFd> create(FdRef directory, const std::string& name, const OpenMode& mode, std::uint32_t bits) {
    // Made with no permission at all first: nobody opens it in between, and the umask has no say.
    auto made = open_how(directory, name,
                         {.flags = use_flags(mode) | O_CREAT | O_EXCL | O_NOFOLLOW,
                          .mode = 0,
                          .resolve = resolve_flags(Links::kRefuse)});
    if (!made) return made;
    if (::fchmod(made->get(), bits) != 0) return system_error("fchmod");
    return made;
}

Result<bool> is_acceptable(FdRef found, const policy::FileRule& rule) {
    struct stat info{};
    if (::fstat(found.get(), &info) != 0) return system_error("fstat");
    const bool is_regular = S_ISREG(info.st_mode);
    if (!is_kind_accepted(info.st_mode, rule.kinds)) return false;
    if (!rule.owners.empty() && std::ranges::find(rule.owners, info.st_uid) == rule.owners.end())
        return false;
    if (is_regular && info.st_nlink > 1 && !rule.any_links) return false;
    if (is_regular && (info.st_mode & (S_ISUID | S_ISGID)) != 0 && !rule.any_setid) return false;
    return !is_regular || !rule.max_size || static_cast<std::uint64_t>(info.st_size) <= *rule.max_size;
}

Result<std::string> path_of(FdRef proc_self_fd, FdRef found) {
    std::string path(kMaxPath + 1, '\0');
    const ssize_t size =
        ::readlinkat(proc_self_fd.get(), FdName(found).text.data(), path.data(), path.size());
    if (size < 0) return system_error("readlinkat");
    if (static_cast<std::size_t>(size) > kMaxPath) return failure(Errc::kLimit, "path: too long");
    path.resize(static_cast<std::size_t>(size));
    return path;
}

Result<ReadResult> read_full(FdRef file, std::span<std::byte> into) {
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

Status write_all(FdRef file, std::span<const std::byte> from) {
    while (!from.empty()) {
        const ssize_t put = ::write(file.get(), from.data(), from.size());
        if (put >= 0)
            from = from.subspan(static_cast<std::size_t>(put));
        else if (errno != EINTR)
            return system_error("write");
    }
    return {};
}

Result<std::uint64_t> write_position(FdRef file, bool append) {
    if (append) {
        struct stat info{};
        if (::fstat(file.get(), &info) != 0) return system_error("fstat");
        return static_cast<std::uint64_t>(info.st_size);
    }
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

}  // namespace sallyport::broker::sys
