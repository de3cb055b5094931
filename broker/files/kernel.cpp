// Runs in:  files, in a clerk; broker, before lockdown()
#include "broker/files/kernel.hpp"

#include <fcntl.h>
#include <linux/magic.h>
#include <linux/openat2.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/vfs.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <charconv>

#include "ipc/limits.hpp"

namespace sallyport::files {

namespace {

constexpr unsigned kWanted = STATX_BASIC_STATS | STATX_MNT_ID | STATX_BTIME;

struct FdName {
    std::array<char, 16> text{};
    explicit FdName(FdRef fd) { std::to_chars(text.data(), text.data() + text.size() - 1, fd.get()); }
};

std::uint64_t device_of(const struct statx& info) {
    return std::uint64_t{info.stx_dev_major} << 32U | info.stx_dev_minor;
}

std::int64_t made_ns_of(const struct statx& info) {
    const bool is_said = (info.stx_mask & STATX_BTIME) != 0;
    return is_said ? info.stx_btime.tv_sec * 1'000'000'000 + info.stx_btime.tv_nsec : 0;
}

Facts facts_of(const struct statx& info) {
    return {.id = {.device = device_of(info), .inode = info.stx_ino, .made_ns = made_ns_of(info)},
            .mount = info.stx_mnt_id,
            .mode = info.stx_mode,
            .owner = info.stx_uid,
            .links = info.stx_nlink,
            .size = info.stx_size};
}

Result<bool> is_of_kind(FdRef found, std::uint64_t magic) {
    struct statfs info{};
    if (::fstatfs(found.get(), &info) != 0) return system_error("fstatfs");
    return static_cast<std::uint64_t>(info.f_type) == magic;
}

Result<std::string> read_link(FdRef directory, const char* name) {
    std::string text(kMaxPath + 1, '\0');
    const ssize_t size = ::readlinkat(directory.get(), name, text.data(), text.size());
    if (size < 0) return system_error("readlinkat");
    if (static_cast<std::size_t>(size) > kMaxPath) return failure(Errc::kLimit, "path: too long");
    text.resize(static_cast<std::size_t>(size));
    return text;
}

}  // namespace

Result<UniqueFd> open_at(FdRef directory, const std::string& name, int flags) {
    // No links, hence no magic links. RESOLVE_BENEATH is not needed: `name` is a single name or an absolute path.
    open_how asked = {.flags = static_cast<unsigned>(flags | O_CLOEXEC), .resolve = RESOLVE_NO_SYMLINKS};
    UniqueFd fd(
        static_cast<int>(::syscall(SYS_openat2, directory.get(), name.c_str(), &asked, sizeof asked)));
    if (!fd.is_open()) return system_error("openat2");
    return fd;
}

Result<UniqueFd> find_path(const std::string& path, int flags) {
    return open_at(FdRef(AT_FDCWD), path, O_PATH | flags);
}

Result<Facts> look_at(FdRef found) {
    struct statx info{};
    if (::statx(found.get(), "", AT_EMPTY_PATH, kWanted, &info) != 0) return system_error("statx");
    return facts_of(info);
}

std::optional<Facts> look_at_path(const std::string& path) {
    struct statx info{};
    if (::statx(AT_FDCWD, path.c_str(), AT_NO_AUTOMOUNT, kWanted, &info) != 0) return std::nullopt;
    return facts_of(info);
}

Result<UniqueFd> peek_at(FdRef directory, const std::string& name, std::uint64_t resolve) {
    open_how asked = {.flags = O_PATH | O_CLOEXEC, .resolve = resolve | RESOLVE_NO_MAGICLINKS};
    if ((resolve & RESOLVE_CACHED) == 0) asked.flags |= O_NOFOLLOW;
    UniqueFd fd(
        static_cast<int>(::syscall(SYS_openat2, directory.get(), name.c_str(), &asked, sizeof asked)));
    if (!fd.is_open()) return system_error("openat2");
    return fd;
}

Result<Glance> glance_at(FdRef found) {
    struct statx info{};
    constexpr int kAskNobody = AT_EMPTY_PATH | AT_NO_AUTOMOUNT | AT_STATX_DONT_SYNC;
    if (::statx(found.get(), "", kAskNobody, STATX_TYPE, &info) != 0) return system_error("statx");
    return Glance{.device = device_of(info), .mode = info.stx_mode};
}

Result<bool> is_on_autofs(FdRef found) {
    return is_of_kind(found, AUTOFS_SUPER_MAGIC);
}

Result<bool> is_on_procfs(FdRef found) {
    return is_of_kind(found, PROC_SUPER_MAGIC);
}

Result<std::string> text_of_link(FdRef link) {
    return read_link(link, "");
}

Result<std::string> path_of(FdRef proc_self_fd, FdRef found) {
    return read_link(proc_self_fd, FdName(found).text.data());
}

Status wait_for_changes(FdRef directory) {
    std::uint64_t random = 0;
    // Since glibc 2.41 its function makes more calls, where the kernel has a vDSO for this (Linux 6.11).
    if (::syscall(SYS_getrandom, &random, sizeof random, 0) != sizeof random)
        return system_error("getrandom");
    // It is expected not to exist.
    (void)open_at(directory, ".sallyport-" + std::to_string(random), O_PATH);
    return {};
}

Result<UniqueFd> reopen(FdRef proc_self_fd, FdRef found, int flags) {
    UniqueFd fd(
        ::openat(proc_self_fd.get(), FdName(found).text.data(), flags | O_CLOEXEC | O_NOCTTY | O_NONBLOCK));
    if (!fd.is_open()) return system_error("openat");
    return fd;
}

}  // namespace sallyport::files
