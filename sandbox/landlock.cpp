// Landlock: a small wrapper over its three system calls.
// Runs in:  every process
// Relies on: no_new_privs, set before
#include "sandbox/landlock.hpp"

#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <array>

#include "base/unique_fd.hpp"

namespace sallyport::sandbox::landlock {

namespace {

// struct landlock_ruleset_attr with the fields that came after Linux 6.1. An older kernel accepts it if the fields that it does not
// know are 0.
struct Ruleset {
    std::uint64_t files = 0;
    std::uint64_t network = 0;
    std::uint64_t scopes = 0;
};

struct Version {
    int since;
    Ruleset adds;
};

// What each version of the interface can refuse.
// clang-format off
constexpr std::array kVersions{
    Version{1, {.files = (std::uint64_t{1} << 13U) - 1}},             // execute ... make_sym
    Version{2, {.files = LANDLOCK_ACCESS_FS_REFER}},
    Version{3, {.files = kTruncate}},
    Version{4, {.network = 0b11}},                                     // bind and connect TCP sockets
    Version{5, {.files = kIoctlDev}},
    Version{6, {.scopes = 0b11}},                                      // abstract unix sockets, signals
};

constexpr std::array kLacks{
    Lack{2, "5.19", "programs under confine.write move no file from one directory to another"},
    Lack{3, "6.2",  "emptying a file is not refused to programs under confine.write, nor to supervisors and clerks that were taken over"},
    Lack{4, "6.7",  "TCP is refused by the filters of system calls alone"},
    Lack{5, "6.10", "commands to devices are refused by the filters of system calls alone"},
    Lack{6, "6.12", "signals and abstract unix sockets are refused by filters and namespaces alone"},
};
// clang-format on

static_assert(kVersions.back().since == kLacks.back().version);

Ruleset everything(int version) {
    Ruleset all;
    for (const auto& [since, adds] : kVersions) {
        if (since > version) continue;
        all.files |= adds.files;
        all.network |= adds.network;
        all.scopes |= adds.scopes;
    }
    return all;
}

Result<Ruleset> all_that_is_offered() {
    return everything(TRY(version()));
}

Status refuse(const Ruleset& refused, std::span<const Grant> grants) {
    const UniqueFd rules(
        static_cast<int>(::syscall(SYS_landlock_create_ruleset, &refused, sizeof refused, 0)));
    if (!rules.is_open()) return system_error("landlock_create_ruleset");
    for (const auto& [fd, rights] : grants) {
        // A right that this kernel cannot refuse cannot be granted either.
        const landlock_path_beneath_attr rule{.allowed_access = rights & refused.files, .parent_fd = fd};
        if (rule.allowed_access == 0) continue;
        if (::syscall(SYS_landlock_add_rule, rules.get(), LANDLOCK_RULE_PATH_BENEATH, &rule, 0) != 0)
            return system_error("landlock_add_rule");
    }
    if (::syscall(SYS_landlock_restrict_self, rules.get(), 0) != 0)
        return system_error("landlock_restrict_self");
    return {};
}

}  // namespace

Result<int> version() {
    const long offered = ::syscall(SYS_landlock_create_ruleset, nullptr, 0, LANDLOCK_CREATE_RULESET_VERSION);
    if (offered < 1) return system_error("landlock: the kernel does not offer it");
    return static_cast<int>(offered);
}

std::span<const Lack> lacking(int version) {
    const auto* const first =
        std::ranges::find_if(kLacks, [&](const Lack& one) { return one.version > version; });
    return {first, kLacks.end()};
}

Status restrict_to(std::span<const Grant> grants) {
    return refuse(TRY(all_that_is_offered()), grants);
}

Status refuse_writes(std::span<const Grant> grants) {
    const Ruleset offered = TRY(all_that_is_offered());
    return refuse({.files = offered.files & kWriting}, grants);
}

}  // namespace sallyport::sandbox::landlock
