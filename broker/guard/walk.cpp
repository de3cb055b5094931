// Runs in:  guard and its trimmer
#include "broker/guard/walk.hpp"

#include <fcntl.h>
#include <linux/magic.h>
#include <linux/openat2.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/vfs.h>

#include <algorithm>
#include <array>
#include <cerrno>

#include "broker/guard/select.hpp"

namespace sallyport::guard {

namespace {

constexpr int kTries = 4;  // a look-up in the cache also fails while somebody mounts or renames

// Where a name may be looked up.
enum class Look : std::uint8_t {
    kInMemory,       // in the kernel's cache only
    kInMemoryFirst,  // in the cache; of a local disk the access list of the directory may be read
    kAnywhere,
};

Result<Look> how_to_look(FdRef at, std::uint64_t root_mount) {
    const Seen seen = TRY(see(at));
    if (!seen.is_local && seen.mount != root_mount) return Look::kInMemory;
    struct statfs system{};
    if (::fstatfs(at.get(), &system) != 0) return system_error("fstatfs");
    return answers_from_memory(static_cast<std::uint64_t>(system.f_type)) ? Look::kInMemoryFirst
                                                                          : Look::kAnywhere;
}

// Makes the kernel read the directory's access list, if that is missing in the cache. Takes no lock of the directory.
void pass_through(FdRef at) {
    const UniqueFd same(::openat(at.get(), ".", O_PATH | O_CLOEXEC));
}

Result<UniqueFd> look_up(FdRef at, const std::string& name, Look look) {
    open_how how{};
    how.flags = O_PATH | O_NOFOLLOW | O_CLOEXEC;
    how.resolve = look == Look::kAnywhere ? 0 : RESOLVE_CACHED;
    for (int tries = 1;; ++tries) {
        UniqueFd found(static_cast<int>(::syscall(SYS_openat2, at.get(), name.c_str(), &how, sizeof how)));
        if (found.is_open()) return found;
        if (errno == EAGAIN && tries < kTries) {
            if (look == Look::kInMemoryFirst) pass_through(at);
            continue;
        }
        const bool is_asked = errno == EAGAIN && look == Look::kInMemory;
        // There was a directory; now there is a link or a file.
        const int why = is_asked ? EREMOTE : errno == ENOTDIR ? ESTALE : errno;
        return std::unexpected(Error{Errc::kSystem, "mount point", why});
    }
}

}  // namespace

Result<Seen> see(FdRef found) {
    struct statx info{};
    if (::statx(found.get(), "", AT_EMPTY_PATH | AT_STATX_DONT_SYNC, STATX_MNT_ID, &info) != 0)
        return system_error("statx");
    if ((info.stx_mask & STATX_MNT_ID) == 0) return std::unexpected(Error{Errc::kSystem, "statx", ENOSYS});
    return Seen{
        .mount = info.stx_mnt_id,
        .is_root = (info.stx_attributes & STATX_ATTR_MOUNT_ROOT) != 0,
        .device_major = info.stx_dev_major,
        .is_local = info.stx_dev_major != 0 || (info.stx_attributes_mask & STATX_ATTR_IMMUTABLE) != 0};
}

Result<UniqueFd> find_point(const std::string& point) {
    UniqueFd at(::open("/", O_PATH | O_DIRECTORY | O_CLOEXEC));
    if (!at.is_open()) return system_error("/");
    const std::uint64_t root_mount = TRY(see(at)).mount;
    for (std::size_t begin = 1; begin < point.size();) {
        const std::size_t end = std::min(point.find('/', begin), point.size());
        const Look look = TRY(how_to_look(at, root_mount));
        at = TRY(look_up(at, point.substr(begin, end - begin), look));
        begin = end + 1;
    }
    return at;
}

}  // namespace sallyport::guard
