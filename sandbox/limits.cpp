// Resource limits per kind of process, as a table.
// Runs in:  every process, during its lockdown
#include <sys/resource.h>

#include <array>

#include "sandbox/steps.hpp"

namespace sallyport::sandbox {

namespace {

constexpr rlim_t kLeave = RLIM_INFINITY;
constexpr rlim_t kMiB = rlim_t{1} << 20U;

struct Limit {
    __rlimit_resource resource;
    std::array<rlim_t, 5> values;  // in the order of Process
};

// clang-format off
constexpr std::array kLimits{
    //    resource             broker   nursery     worker      compiler    guard
    Limit{RLIMIT_CORE,       { 0,       0,          0,          0,          0          }},  // no memory of ours on a disk
    Limit{RLIMIT_NPROC,      { 0,       16,         0,          0,          kLeave     }},  // only nursery and guard fork
    Limit{RLIMIT_NOFILE,     { kLeave,  64,         16,         16,         kLeave     }},
    Limit{RLIMIT_AS,         { kLeave,  512 * kMiB, 512 * kMiB, 512 * kMiB, 512 * kMiB }},
    Limit{RLIMIT_FSIZE,      { kLeave,  0,          0,          64 * kMiB,  0          }},  // the compiled policy may go into a file
    Limit{RLIMIT_MEMLOCK,    { kLeave,  0,          0,          0,          512 * kMiB }},  // nothing of it may wait for a disk
    Limit{RLIMIT_MSGQUEUE,   { 0,       0,          0,          0,          0          }},
};
// clang-format on

}  // namespace

Status set_limits(Process process) {
    for (const auto& [resource, values] : kLimits) {
        const rlim_t value = values[static_cast<std::size_t>(process)];
        if (value == kLeave) continue;
        rlimit now{};
        if (::getrlimit(resource, &now) != 0) return system_error("getrlimit");
        const rlim_t lower = value < now.rlim_max ? value : now.rlim_max;
        const rlimit limit{.rlim_cur = lower, .rlim_max = lower};
        if (::setrlimit(resource, &limit) != 0) return system_error("setrlimit");
    }
    return {};
}

}  // namespace sallyport::sandbox
