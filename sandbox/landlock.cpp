// Landlock: a small wrapper over its three system calls.
// Runs in:  every process
// Relies on: no_new_privs, set before
#include "sandbox/landlock.hpp"

#include <sys/syscall.h>
#include <unistd.h>

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
// clang-format on

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
    const long version = ::syscall(SYS_landlock_create_ruleset, nullptr, 0, LANDLOCK_CREATE_RULESET_VERSION);
    if (version < 1) return system_error("landlock: the kernel does not offer it");
    return everything(static_cast<int>(version));
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

Status restrict_to(std::span<const Grant> grants) {
    return refuse(TRY(all_that_is_offered()), grants);
}

Status refuse_writes(std::span<const Grant> grants) {
    const Ruleset offered = TRY(all_that_is_offered());
    return refuse({.files = offered.files & kWriting}, grants);
}

}  // namespace sallyport::sandbox::landlock
