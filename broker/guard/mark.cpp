// Runs in:  broker; guard thaw
#include "broker/guard/mark.hpp"

#include <fcntl.h>
#include <sys/mount.h>

#include "broker/freeze_plan/graph.hpp"

namespace sallyport::guard {

namespace {

constexpr const char* kName = "sallyport.frozen";

// An unmounted procfs of our own, in case the system's shows only processes (subset=pid).
Result<UniqueFd> open_own_proc() {
    const UniqueFd context(::fsopen("proc", FSOPEN_CLOEXEC));
    if (!context.is_open()) return system_error("fsopen");
    if (::fsconfig(context.get(), FSCONFIG_CMD_CREATE, nullptr, nullptr, 0) != 0)
        return system_error("fsconfig");
    UniqueFd mount(::fsmount(context.get(), FSMOUNT_CLOEXEC, 0));
    if (!mount.is_open()) return system_error("fsmount");
    return mount;
}

}  // namespace

Result<std::string> boot_id() {
    UniqueFd file(::open("/proc/sys/kernel/random/boot_id", O_RDONLY | O_CLOEXEC));
    if (!file.is_open()) {
        const UniqueFd proc = TRY(open_own_proc());
        file = UniqueFd(::openat(proc.get(), "sys/kernel/random/boot_id", O_RDONLY | O_CLOEXEC));
    }
    if (!file.is_open()) return system_error("boot_id");
    return freeze_plan::read_text(file);
}

Result<bool> FrozenMark::is_set(FdRef state_directory) {
    const UniqueFd file(
        ::openat(state_directory.get(), kName, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK));
    if (!file.is_open()) return false;
    // As set(false) leaves it, it says so by itself: a unit that hides /proc/sys then stops and starts without a procfs of our own, for
    // which not every process here has the right.
    const auto text = freeze_plan::read_text(file);
    if (!text || text->find_first_not_of(' ') == std::string::npos) return false;
    const auto boot = boot_id();
    if (!boot) return std::unexpected(boot.error());
    return *text == *boot;
}

Result<FrozenMark> FrozenMark::open(FdRef state_directory) {
    FrozenMark mark;
    auto boot = boot_id();
    if (!boot) return std::unexpected(boot.error());
    mark.boot_ = *std::move(boot);
    constexpr int kFlags = O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK;
    mark.file_ = UniqueFd(::openat(state_directory.get(), kName, kFlags, 0600));
    if (!mark.file_.is_open()) return system_error(kName);
    return mark;
}

Status FrozenMark::set(bool is_frozen) const {
    const std::string text = is_frozen ? boot_ : std::string(boot_.size(), ' ');
    if (::pwrite(file_.get(), text.data(), text.size(), 0) != static_cast<ssize_t>(text.size()))
        return system_error(kName);
    return {};
}

}  // namespace sallyport::guard
