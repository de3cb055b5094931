// Which capabilities are kept, and how the others are dropped.
// Runs in:  broker, files, launcher, compiler; the nursery does this without the library, see namespaces.cpp
// Relies on: libcap-ng
#include <cap-ng.h>
#include <sys/prctl.h>

#include <array>

#include "sandbox/steps.hpp"

namespace sallyport::sandbox {

std::vector<KeptCapability> files_capabilities(const FilesNeeds& needs) {
    std::vector<KeptCapability> kept;
    const bool writes = needs.writes_files || needs.creates_files;
    if (!needs.reads_files && !writes) return kept;
    if (needs.others_files || needs.others_directories)
        kept.push_back({CAP_DAC_READ_SEARCH, "resolve paths below and read files that belong to others"});
    if (writes && needs.others_files) kept.push_back({CAP_DAC_OVERRIDE, "write files that belong to others"});
    return kept;
}

std::span<const KeptCapability> guard_capabilities() {
    static constexpr std::array kKept{
        KeptCapability{CAP_SYS_ADMIN, "freeze, thaw and trim"},
        KeptCapability{CAP_DAC_READ_SEARCH,
                       "open mount points of others, such as a database's; no file below them"},
    };
    return kKept;
}

std::span<const KeptCapability> setter_capabilities() {
    static constexpr std::array kKept{
        KeptCapability{CAP_SYS_TIME, "set the system's clock and the hardware clock"}};
    return kKept;
}

// The systemd unit leaves it where a drop-in says so.
static bool is_left(unsigned long capability) {
    return ::prctl(PR_CAPBSET_READ, capability, 0, 0, 0) == 1;
}

std::vector<KeptCapability> launcher_capabilities(const LauncherNeeds& needs) {
    std::vector<KeptCapability> kept;
    // Where every program is root's, root's user is enough.
    if (needs.takes_users || is_left(CAP_KILL))
        kept.push_back({CAP_KILL, "end a program that became another user's, at its deadline"});
    if (needs.asks_kernel && is_left(CAP_SYS_BOOT))
        kept.push_back({CAP_SYS_BOOT, "reboot(2), where there is no init to ask"});
    if (needs.takes_users) kept.push_back({CAP_SETUID, "start a program as the user of its rule"});
    if (needs.takes_users) kept.push_back({CAP_SETGID, "and with that user's groups"});
    if (needs.cuts_network)
        kept.push_back({CAP_SYS_ADMIN, "start a program in a network of its own, without any"});
    return kept;
}

Status keep_capabilities(std::span<const KeptCapability> kept, Bounding bounding) {
    if (capng_get_caps_process() != 0) return system_error("capng_get_caps_process");
    const bool may_empty =
        bounding == Bounding::kEmpty && capng_have_capability(CAPNG_EFFECTIVE, CAP_SETPCAP) != 0;
    capng_clear(CAPNG_SELECT_ALL);
    for (const KeptCapability& one : kept) {
        const auto sets = static_cast<capng_type_t>(CAPNG_EFFECTIVE | CAPNG_PERMITTED);
        if (capng_update(CAPNG_ADD, sets, static_cast<unsigned>(one.capability)) != 0)
            return system_error("capng_update");
    }
    // One set at a time: for several, the library answers only for the last one.
    if (may_empty && capng_apply(CAPNG_SELECT_BOUNDS) != 0) return system_error("capng_apply(bounding)");
    if (capng_apply(CAPNG_SELECT_CAPS) != 0) return system_error("capng_apply(capabilities)");
    if (capng_apply(CAPNG_SELECT_AMBIENT) != 0) return system_error("capng_apply(ambient)");
    return {};
}

}  // namespace sallyport::sandbox
