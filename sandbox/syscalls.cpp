// From a table to an installed seccomp filter.
// Runs in:  every process, as the last step of its lockdown
// Relies on: libseccomp, which compiles; the filter is installed by the one call below
#include "sandbox/syscalls.hpp"

#include <fcntl.h>
#include <linux/seccomp.h>
#include <seccomp.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <memory>

#include "sandbox/tables.hpp"

namespace sallyport::sandbox {

namespace {

constexpr std::size_t kMostInstructions = 1024;  // the largest table takes a fifth of it

using Builder = std::unique_ptr<void, decltype(&seccomp_release)>;

struct Attribute {
    scmp_filter_attr name;
    std::uint32_t value;
};

constexpr std::array kAttributes{
    // THREAT: the tables do not cover a call by the numbers of another architecture (int 0x80, x32), which kills.
    Attribute{SCMP_FLTATR_ACT_BADARCH, SCMP_ACT_KILL_PROCESS},
    Attribute{SCMP_FLTATR_CTL_OPTIMIZE, 2},  // binary tree
};

// libseccomp returns negative error numbers.
Status checked(int answer, const char* what) {
    if (answer == 0) return {};
    return std::unexpected(Error{Errc::kSystem, what, -answer});
}

Status add_row(const Builder& builder, const SyscallRule& rule) {
    std::array<scmp_arg_cmp, 2> conditions{};
    unsigned count = 0;
    for (const ArgIs& one : {rule.first, rule.second})
        if (one.mask != 0)
            conditions[count++] = SCMP_CMP64(one.index, SCMP_CMP_MASKED_EQ, one.mask, one.value);
    return checked(seccomp_rule_add_array(builder.get(), SCMP_ACT_ALLOW, rule.call, count, conditions.data()),
                   "seccomp_rule_add");
}

// The library writes to a descriptor. It gets a pipe, which takes all of it, since RLIMIT_FSIZE may be 0.
Result<std::vector<sock_filter>> export_program(const Builder& builder) {
    std::array<int, 2> ends{};
    if (::pipe2(ends.data(), O_CLOEXEC | O_NONBLOCK) != 0) return system_error("pipe2");
    const UniqueFd out(ends[0]);
    const UniqueFd in(ends[1]);
    if (seccomp_export_bpf(builder.get(), in.get()) != 0) return system_error("seccomp_export_bpf");
    std::array<sock_filter, kMostInstructions> program{};
    const ssize_t got = ::read(out.get(), program.data(), sizeof program);
    if (got <= 0) return system_error("read");
    if (got == sizeof program)
        return failure(Errc::kLimit, "seccomp_export_bpf: a longer filter than there may be");
    return std::vector(program.begin(), program.begin() + got / static_cast<ssize_t>(sizeof(sock_filter)));
}

}  // namespace

std::span<const SyscallRule> syscall_table(Process process) {
    const std::array in_order{broker_syscalls(),   nursery_syscalls(), worker_syscalls(),
                              compiler_syscalls(), guard_syscalls(),   inspector_syscalls(),
                              recorder_syscalls(), files_syscalls(),   setter_syscalls()};
    return in_order[static_cast<std::size_t>(process)];
}

bool is_needed(When when, const Needs& needs) {
    switch (when) {
        case When::kAlways:
            return true;
        case When::kListens:
            return needs.listens;
        case When::kAsksFiles:
            return needs.asks_files;
        case When::kFreezes:
            return needs.freezes;
        case When::kWritesFiles:
            return needs.writes_files;
        case When::kCreatesFiles:
            return needs.creates_files;
        case When::kNetlink:
            return needs.asks_netlink;
        case When::kForks:
            return needs.forks;
        case When::kSetsClock:
            return needs.sets_clock;
        case When::kSetsDevices:
            return needs.sets_devices;
    }
    return false;
}

std::size_t count_syscalls(Process process, const Needs& needs) {
    std::vector<int> calls;
    for (const SyscallRule& rule : syscall_table(process))
        if (is_needed(rule.when, needs) && std::ranges::find(calls, rule.call) == calls.end())
            calls.push_back(rule.call);
    return calls.size();
}

Result<Filter> Filter::compile(Process process, const Needs& needs) {
    const Builder builder(seccomp_init(SCMP_ACT_KILL_PROCESS), seccomp_release);
    if (!builder) return failure(Errc::kSystem, "seccomp_init");
    for (const auto& [name, value] : kAttributes)
        TRY(checked(seccomp_attr_set(builder.get(), name, value), "seccomp_attr_set"));
    for (const SyscallRule& rule : syscall_table(process))
        if (is_needed(rule.when, needs)) TRY(add_row(builder, rule));
    return Filter(TRY(export_program(builder)));
}

Result<UniqueFd> Filter::to_file() const {
    UniqueFd file(::memfd_create("sallyport-filter", MFD_CLOEXEC | MFD_ALLOW_SEALING));
    if (!file.is_open()) return system_error("memfd_create");
    const auto size = static_cast<ssize_t>(program_.size() * sizeof(sock_filter));
    if (::write(file.get(), program_.data(), static_cast<std::size_t>(size)) != size)
        return system_error("write");
    if (::fcntl(file.get(), F_ADD_SEALS, F_SEAL_WRITE | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL) != 0)
        return system_error("F_ADD_SEALS");
    return file;
}

// Maps the file, since an earlier reader has left its position at the end.
Result<Filter> Filter::from_file(FdRef file) {
    struct stat info{};
    if (::fstat(file.get(), &info) != 0) return system_error("fstat");
    const auto size = static_cast<std::size_t>(info.st_size);
    if (size == 0 || size % sizeof(sock_filter) != 0 || size > kMostInstructions * sizeof(sock_filter))
        return failure(Errc::kInvalid, "not a filter");
    void* const memory = ::mmap(nullptr, size, PROT_READ, MAP_PRIVATE, file.get(), 0);
    if (memory == MAP_FAILED) return system_error("mmap");
    std::vector<sock_filter> program(size / sizeof(sock_filter));
    std::memcpy(program.data(), memory, size);
    ::munmap(memory, size);
    return Filter(std::move(program));
}

Status Filter::install() const {
    std::vector<sock_filter> code = program_;
    const sock_fprog program{.len = static_cast<unsigned short>(code.size()), .filter = code.data()};
    // A thread that some library left behind gets the filter too, or the call fails.
    constexpr unsigned kFlags = SECCOMP_FILTER_FLAG_TSYNC | SECCOMP_FILTER_FLAG_TSYNC_ESRCH;
    if (::syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, kFlags, &program) != 0)
        return system_error("seccomp");
    return {};
}

Status install_filter(Process process, const Needs& needs) {
    return TRY(Filter::compile(process, needs)).install();
}

}  // namespace sallyport::sandbox
