// Runs in:  broker; guard thaw
#include "broker/guard/mark.hpp"

#include <fcntl.h>

#include <cstdlib>
#include <string_view>

#include "broker/freeze_plan/graph.hpp"

namespace sallyport::guard {

namespace {

constexpr const char* kName = "sallyport.frozen";

// What the unit says, as systemd writes it (%b), in the kernel's way: with hyphens. Who sets it starts us with options of his, too.
Result<std::string> boot_id_of_unit() {
    const char* said = std::getenv("SALLYPORT_BOOT");
    const std::string_view digits = said == nullptr ? "" : said;
    if (digits.size() != 32 || digits.find_first_not_of("0123456789abcdef") != std::string_view::npos)
        return failure(Errc::kInvalid,
                       "/proc does not show which boot this is, and the unit does not say it "
                       "(Environment=SALLYPORT_BOOT=%b)");
    std::string text(digits);
    for (const std::size_t place : {8U, 13U, 18U, 23U}) text.insert(place, 1, '-');
    return text + '\n';
}

}  // namespace

Result<std::string> boot_id() {
    const UniqueFd file(::open("/proc/sys/kernel/random/boot_id", O_RDONLY | O_CLOEXEC));
    if (!file.is_open()) return boot_id_of_unit();
    return freeze_plan::read_text(file);
}

Result<bool> FrozenMark::is_set(FdRef state_directory) {
    const UniqueFd file(
        ::openat(state_directory.get(), kName, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK));
    if (!file.is_open()) return false;
    // As set(false) leaves it, it says so by itself: where nobody says which boot this is, an agent stops and starts nevertheless.
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
