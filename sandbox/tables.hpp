// The tables of system calls, one per kind of process, and what their rows have in common.
// Runs in:  data only
#pragma once

#include <fcntl.h>
#include <seccomp.h>
#include <sys/mman.h>

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <span>

#include "sandbox/syscalls.hpp"

namespace sallyport::sandbox {

std::span<const SyscallRule> broker_syscalls();
std::span<const SyscallRule> nursery_syscalls();
std::span<const SyscallRule> worker_syscalls();
std::span<const SyscallRule> compiler_syscalls();
std::span<const SyscallRule> guard_syscalls();
std::span<const SyscallRule> inspector_syscalls();
std::span<const SyscallRule> recorder_syscalls();
std::span<const SyscallRule> files_syscalls();
std::span<const SyscallRule> setter_syscalls();

// Conditions. The kernel reads descriptors, flag words and options as 32 bits, so only these are compared.
inline constexpr std::uint64_t kInt = 0xffff'ffff;
constexpr ArgIs is_int(unsigned index, std::uint64_t value) {
    return {index, kInt, value};
}
constexpr ArgIs has_flag(unsigned index, std::uint64_t flag) {
    return {index, flag, flag};
}
constexpr ArgIs lacks_flag(unsigned index, std::uint64_t flag) {
    return {index, flag, 0};
}
constexpr ArgIs is_null(unsigned index) {
    return {index, ~std::uint64_t{0}, 0};
}
inline constexpr ArgIs kAny{};
inline constexpr ArgIs kNotExecutable = lacks_flag(2, PROT_EXEC);          // mmap, mprotect
inline constexpr ArgIs kNoFile = has_flag(3, MAP_ANONYMOUS);               // mmap
inline constexpr ArgIs kReadOnly = {2, O_ACCMODE | O_CREAT | O_TRUNC, 0};  // openat
inline constexpr ArgIs kWritable = is_int(2, PROT_READ | PROT_WRITE);      // mmap
inline constexpr ArgIs kShared = is_int(3, MAP_SHARED);                    // mmap
inline constexpr ArgIs kForgets = is_int(2, MADV_DONTNEED);                // madvise
inline constexpr ArgIs kByDescriptor = has_flag(3, AT_EMPTY_PATH);         // newfstatat

// The rows that every table begins with.
// clang-format off
inline constexpr std::array kCommon{
    SyscallRule{SCMP_SYS(mmap),            kNotExecutable, kNoFile, When::kAlways, "allocator; never executable, never a file"},
    SyscallRule{SCMP_SYS(munmap),          kAny, kAny,              When::kAlways, "allocator"},
    SyscallRule{SCMP_SYS(mremap),          kAny, kAny,              When::kAlways, "allocator"},
    SyscallRule{SCMP_SYS(madvise),         kForgets, kAny,          When::kAlways, "the allocator gives memory back; code that only the start needed is unmapped"},
    SyscallRule{SCMP_SYS(brk),             kAny, kAny,              When::kAlways, "allocator"},
    SyscallRule{SCMP_SYS(restart_syscall), kAny, kAny,              When::kAlways, "the kernel restarts a call, after a stop and continue"},
    SyscallRule{SCMP_SYS(exit_group),      kAny, kAny,              When::kAlways, "normal end"},
};
// clang-format on

template <std::size_t kFirst, std::size_t kSecond>
constexpr auto joined(const std::array<SyscallRule, kFirst>& first,
                      const std::array<SyscallRule, kSecond>& second) {
    std::array<SyscallRule, kFirst + kSecond> all{};
    std::ranges::copy(second, std::ranges::copy(first, all.begin()).out);
    return all;
}

template <std::size_t kRows>
constexpr auto with_common(const std::array<SyscallRule, kRows>& rows) {
    return joined(kCommon, rows);
}

/// The rows whose call this architecture has. libseccomp gives the others negative numbers, and leaves them out of a filter without a word.
template <const auto& kRows>
constexpr auto of_this_architecture() {
    constexpr auto kIsHere = [](const SyscallRule& row) { return row.call >= 0; };
    std::array<SyscallRule, static_cast<std::size_t>(std::ranges::count_if(kRows, kIsHere))> here{};
    std::ranges::copy_if(kRows, here.begin(), kIsHere);
    return here;
}

constexpr bool every_row_has_a_reason(std::span<const SyscallRule> table) {
    return std::ranges::all_of(
        table, [](const SyscallRule& row) { return row.reason != nullptr && *row.reason != 0; });
}

}  // namespace sallyport::sandbox
