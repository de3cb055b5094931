// Resource limits per kind of process, as a table; giving memory back that only the start needed.
// Runs in:  every process, during its lockdown
#include <link.h>
#include <malloc.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <unistd.h>

#include <array>

#include "sandbox/steps.hpp"

namespace sallyport::sandbox {

namespace {

constexpr rlim_t kLeave = RLIM_INFINITY;
constexpr rlim_t kMiB = rlim_t{1} << 20U;

struct Limit {
    __rlimit_resource resource;
    std::array<rlim_t, 9> values;  // in the order of Process
};

// clang-format off
constexpr std::array kLimits{
    //    resource             broker   nursery     worker      compiler    guard       inspector   recorder    files       setter
    Limit{RLIMIT_CORE,       { 0,       0,          0,          0,          0,          0,          0,          0,          0 }},  // no memory of ours on a disk
    Limit{RLIMIT_NPROC,      { 0,       16,         0,          0,          kLeave,     16,         kLeave,     kLeave,     0 }},  // who forks: nursery, guard, inspector, recorder, files
    Limit{RLIMIT_NOFILE,     { kLeave,  64,         16,         16,         kLeave,     64,         16,         256,        32 }},
    Limit{RLIMIT_AS,         { kLeave,  512 * kMiB, 512 * kMiB, 512 * kMiB, 512 * kMiB, 512 * kMiB, 64 * kMiB,  512 * kMiB, 512 * kMiB }},
    Limit{RLIMIT_FSIZE,      { kLeave,  0,          0,          64 * kMiB,  0,          0,          kLeave,     kLeave,     kLeave }},  // the compiled policy may go into a file
    Limit{RLIMIT_MEMLOCK,    { kLeave,  0,          0,          0,          512 * kMiB, 0,          0,          0,          0 }},  // nothing of the guard may wait for a disk
    Limit{RLIMIT_MSGQUEUE,   { 0,       0,          0,          0,          0,          0,          0,          0,          0 }},
};
// clang-format on

// Code that is mapped, as far as it can be had from its file again.
struct Code {
    struct Piece {
        std::uintptr_t start;
        std::uintptr_t end;
    };
    std::array<Piece, 96> pieces;  // three of each object
    std::size_t count = 0;
};

int note_code(dl_phdr_info* object, std::size_t, void* noted) {
    auto& code = *static_cast<Code*>(noted);
    const auto page = static_cast<std::uintptr_t>(::getpagesize());
    for (const ElfW(Phdr) & segment : std::span(object->dlpi_phdr, object->dlpi_phnum)) {
        const bool is_code = segment.p_type == PT_LOAD && (segment.p_flags & PF_W) == 0;
        if (!is_code || code.count == code.pieces.size()) continue;
        const std::uintptr_t start = object->dlpi_addr + segment.p_vaddr;
        code.pieces[code.count++] = {.start = start & ~(page - 1), .end = start + segment.p_memsz};
    }
    return 0;
}

}  // namespace

// Nothing is called after the first piece is gone but madvise(): what runs then is mapped again, 64 KiB at once.
void forget_startup_code() {
    ::malloc_trim(0);
    Code code;
    ::dl_iterate_phdr(note_code, &code);
    // Not done where pages are locked or the kernel's own; it is for the idle size only.
    for (const auto& [start, end] : std::span(code.pieces).first(code.count))
        ::madvise(reinterpret_cast<void*>(start), end - start, MADV_DONTNEED);
}

int wait_quietly(std::span<pollfd> wanted, const timespec* most) {
    constexpr std::int64_t kNsPerSecond = 1'000'000'000, kQuietNs = kQuietMs * 1'000'000L;
    const std::int64_t left = most == nullptr ? 0 : most->tv_sec * kNsPerSecond + most->tv_nsec - kQuietNs;
    if (left < 0) return ::ppoll(wanted.data(), wanted.size(), most, nullptr);
    const timespec quiet{.tv_sec = 0, .tv_nsec = kQuietNs};
    if (const int ready = ::ppoll(wanted.data(), wanted.size(), &quiet, nullptr); ready != 0) return ready;
    forget_startup_code();
    const timespec rest{.tv_sec = left / kNsPerSecond, .tv_nsec = left % kNsPerSecond};
    return ::ppoll(wanted.data(), wanted.size(), most == nullptr ? nullptr : &rest, nullptr);
}

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
