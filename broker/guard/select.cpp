// Runs in:  guard and its trimmer
#include "broker/guard/select.hpp"

#include <fcntl.h>
#include <linux/magic.h>
#include <sys/stat.h>
#include <sys/vfs.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <string_view>

#include "broker/guard/walk.hpp"

namespace sallyport::guard {

namespace {

constexpr std::uint64_t kFuse = 0x65735546;  // FUSE_SUPER_MAGIC; in no header of Linux 6.1
constexpr std::uint64_t kXfs = 0x58465342;   // likewise

struct Type {
    std::string_view name;
    std::uint64_t magic;
};
// The types that are frozen most. For other types the planner is believed.
constexpr std::array kTypes{
    Type{"ext2", EXT2_SUPER_MAGIC},
    Type{"ext3", EXT3_SUPER_MAGIC},
    Type{"ext4", EXT4_SUPER_MAGIC},
    Type{"btrfs", BTRFS_SUPER_MAGIC},
    Type{"xfs", kXfs},
    Type{"f2fs", F2FS_SUPER_MAGIC},
};

bool fits(std::string_view type, std::uint64_t magic) {
    const auto known = std::ranges::find(kTypes, type, &Type::name);
    return known == kTypes.end() || known->magic == magic;
}

bool has(const google::protobuf::RepeatedPtrField<std::string>& list, const std::string& text) {
    return std::ranges::find(list, text) != list.end();
}

std::unexpected<Error> refuse(int sys_errno) {
    return std::unexpected(Error{Errc::kSystem, "mount point", sys_errno});
}

bool is_by_name(const ipc::FreezeSelection& selection) {
    return !selection.mounts().empty() || !selection.types().empty() || !selection.sources().empty();
}

// What is mounted there, if it is the root of that very mount.
//
// THREAT: the planner was taken over and names a FUSE mount. Asking for its type would ask the FUSE server.
Result<Kind> kind_of(FdRef point, std::uint64_t mount, const ipc::FreezeSelection& selection) {
    const Seen seen = TRY(see(point));
    if (seen.mount != mount || !seen.is_root) return refuse(ESTALE);
    if (!seen.is_local && !is_by_name(selection)) return refuse(EPERM);
    struct statfs system{};
    if (::fstatfs(point.get(), &system) != 0) return system_error("fstatfs");
    return Kind{.device_major = seen.device_major, .magic = static_cast<std::uint64_t>(system.f_type)};
}

}  // namespace

bool answers_from_memory(std::uint64_t magic) {
    return magic == TMPFS_MAGIC || std::ranges::find(kTypes, magic, &Type::magic) != kTypes.end();
}

bool is_named(const Place& place, const ipc::FreezeSelection& selection) {
    return selection.mounts().empty() || has(selection.mounts(), place.point);
}

// THREAT: without these lines, a planner that was taken over could have network and FUSE file systems frozen and waited for.
bool is_meant(Kind kind, const ipc::FreezeSelection& selection) {
    if (!selection.types().empty() && std::ranges::none_of(selection.types(), [&](const std::string& type) {
            return fits(type, kind.magic);
        }))
        return false;
    const bool is_local = kind.magic != kFuse && (kind.device_major != 0 || kind.magic == BTRFS_SUPER_MAGIC);
    return is_local || is_by_name(selection);
}

Result<UniqueFd> open_selected(const Place& place, const ipc::FreezeSelection& selection) {
    if (!is_named(place, selection)) return refuse(ESTALE);
    if (has(selection.exclude(), place.point)) return refuse(EPERM);
    const UniqueFd point = TRY(find_point(place.point));
    if (!is_meant(TRY(kind_of(point, place.mount, selection)), selection)) return refuse(EPERM);
    UniqueFd directory(::openat(point.get(), ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NONBLOCK));
    if (!directory.is_open()) return system_error("mount point");
    return directory;
}

}  // namespace sallyport::guard
