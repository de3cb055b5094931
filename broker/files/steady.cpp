// Runs in:  files, in a clerk
#include "broker/files/steady.hpp"

#include <linux/magic.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/vfs.h>

#include <algorithm>
#include <array>

namespace sallyport::files {

namespace {

struct FileSystem {
    std::uint64_t magic;
    const char* reason;
};

// Not in the table: overlayfs (has a flush, and anything may be below it), NFS, CIFS, 9p, FUSE (ask a server), procfs, sysfs
// (code of any driver), f2fs (may have to read the size from the disk).
constexpr std::array kSteady{
    FileSystem{
        EXT4_SUPER_MAGIC,
        "ext2, ext3, ext4: no flush; what release does comes with the last reference, which is a clerk's"},
    FileSystem{XFS_SUPER_MAGIC, "the same"},
    FileSystem{BTRFS_SUPER_MAGIC, "the same"},
    FileSystem{TMPFS_MAGIC, "memory; no flush, no release"},
};
// clang-format on

Result<std::uint64_t> magic_of(FdRef file) {
    struct statfs system{};
    if (::fstatfs(file.get(), &system) != 0) return system_error("fstatfs");
    return static_cast<std::uint64_t>(system.f_type);
}

bool is_in_table(std::uint64_t magic) {
    return std::ranges::find(kSteady, magic, &FileSystem::magic) != kSteady.end();
}

}  // namespace

Result<bool> is_steady(FdRef file) {
    struct stat info{};
    if (::fstat(file.get(), &info) != 0) return system_error("fstat");
    return is_in_table(TRY(magic_of(file))) && S_ISREG(info.st_mode);
}

// The file systems above, and NFS servers, store the number on disk. overlayfs, vfat, exFAT and CIFS do not; FUSE may do
// anything.
Result<bool> keeps_numbers(FdRef found) {
    const std::uint64_t magic = TRY(magic_of(found));
    return is_in_table(magic) || magic == NFS_SUPER_MAGIC;
}

Result<ipc::OpenedReport::Atime> atime_of(FdRef file) {
    struct statvfs system{};
    if (::fstatvfs(file.get(), &system) != 0) return system_error("fstatvfs");
    constexpr unsigned long kRelative = 4096;  // ST_RELATIME
    if ((system.f_flag & (ST_NOATIME | ST_RDONLY)) != 0) return ipc::OpenedReport::NEVER;
    return (system.f_flag & kRelative) != 0 ? ipc::OpenedReport::RELATIVE : ipc::OpenedReport::ALWAYS;
}

}  // namespace sallyport::files
