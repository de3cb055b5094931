// Self-proof: what the kernel shows of a process, compared with what was meant to be installed.
// Runs in:  broker, before it serves; the tests
// Input:    /proc; the process's name in it is the only text that a process chooses, and it has no line ends
#include "sandbox/proof.hpp"

#include <dirent.h>
#include <fcntl.h>
#include <limits.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <charconv>
#include <memory>
#include <span>
#include <string_view>

namespace sallyport::sandbox {

namespace {

constexpr std::size_t kMaxStatus = 16384;

// Reads the numbers of the line "NAME:\tNUMBER\tNUMBER...", which must be as many as `out` holds.
template <typename Number>
bool take_line(std::string_view text, std::string_view name, int base, std::span<Number> out) {
    const std::size_t at = text.find(name);
    if (at == text.npos) return false;
    std::string_view line = text.substr(at + name.size());
    line = line.substr(0, line.find('\n'));
    for (Number& number : out) {
        if (!line.starts_with('\t')) return false;
        line.remove_prefix(1);
        const auto [end, error] = std::from_chars(line.begin(), line.end(), number, base);
        if (error != std::errc{}) return false;
        line.remove_prefix(static_cast<std::size_t>(end - line.begin()));
    }
    return line.empty();
}

// Reads the line "Groups:\tNUMBER NUMBER ...", which may have no number.
bool take_groups(std::string_view text, bool& has_groups) {
    constexpr std::string_view kName = "\nGroups:\t";
    const std::size_t at = text.find(kName);
    if (at == text.npos) return false;
    std::string_view line = text.substr(at + kName.size());
    line = line.substr(0, line.find('\n'));
    has_groups = line.find_first_not_of(' ') != line.npos;
    return line.find_first_not_of(" 0123456789") == line.npos;
}

// Reads in one piece, since the kernel makes the text anew at each read from the beginning.
Result<std::string> read_whole(FdRef file) {
    std::string text(kMaxStatus, '\0');
    const ssize_t size = ::pread(file.get(), text.data(), text.size(), 0);
    if (size < 0) return system_error("pread");
    text.resize(static_cast<std::size_t>(size));
    return text;
}

Result<std::string> link_text(int directory, const std::string& name) {
    std::array<char, NAME_MAX> text{};
    const ssize_t size = ::readlinkat(directory, name.c_str(), text.data(), text.size());
    if (size < 0) return system_error("readlinkat");
    return std::string(text.data(), static_cast<std::size_t>(size));
}

Status prove_empty_read_only_root(FdRef process) {
    UniqueFd root(::openat(process.get(), "root", O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    if (!root.is_open()) return system_error("open /proc/PID/root");
    struct statvfs info{};
    if (::fstatvfs(root.get(), &info) != 0) return system_error("fstatvfs");
    if ((info.f_flag & ST_RDONLY) == 0) return failure(Errc::kProof, "root directory: not read-only");
    const std::unique_ptr<DIR, int (*)(DIR*)> entries(::fdopendir(root.get()), ::closedir);
    if (!entries) return system_error("fdopendir");
    (void)root.release();
    errno = 0;
    while (const dirent* entry = ::readdir(entries.get())) {
        const std::string_view name(entry->d_name);
        if (name != "." && name != "..") return failure(Errc::kProof, "root directory: not empty");
    }
    if (errno != 0) return system_error("readdir");
    return {};
}

struct Namespace {
    const char* name;
    const char* shared;
};
// The inspector has its own of the first four.
constexpr std::array kNamespaces{
    Namespace{"ns/user", "user namespace: shared"}, Namespace{"ns/ipc", "IPC namespace: shared"},
    Namespace{"ns/pid", "pid namespace: shared"},   Namespace{"ns/cgroup", "cgroup namespace: shared"},
    Namespace{"ns/mnt", "mount namespace: shared"}, Namespace{"ns/net", "network namespace: shared"},
    Namespace{"ns/uts", "UTS namespace: shared"},
};

Status prove_not_shared(FdRef process, std::span<const Namespace> namespaces) {
    for (const auto& [name, shared] : namespaces) {
        const auto its = TRY(link_text(process.get(), name));
        const auto ours = TRY(link_text(AT_FDCWD, std::string("/proc/self/") + name));
        if (its == ours) return failure(Errc::kProof, shared);
    }
    return {};
}

}  // namespace

Result<Credentials> read_credentials(FdRef status) {
    const std::string text = TRY(read_whole(status));
    Credentials held;
    std::array<int, 3> small{};
    static constexpr std::array kSets{"\nCapInh:", "\nCapPrm:", "\nCapEff:", "\nCapBnd:", "\nCapAmb:"};
    static constexpr std::array kSmall{"\nNoNewPrivs:", "\nSeccomp:", "\nSeccomp_filters:"};
    bool complete = take_line(text, "\nUid:", 10, std::span<uid_t>(held.uid)) &&
                    take_line(text, "\nGid:", 10, std::span<gid_t>(held.gid)) &&
                    take_groups(text, held.has_groups);
    for (std::size_t set = 0; set < kSets.size(); ++set)
        complete = complete && take_line(text, kSets[set], 16, std::span(&held.capabilities[set], 1));
    for (std::size_t at = 0; at < kSmall.size(); ++at)
        complete = complete && take_line(text, kSmall[at], 10, std::span(&small[at], 1));
    if (!complete) return failure(Errc::kProof, "/proc/PID/status: a line is missing");
    held.no_new_privileges = small[0] == 1;
    held.seccomp_mode = small[1];
    held.seccomp_filters = small[2];
    return held;
}

Status compare(const Expected& expected, const Credentials& held) {
    struct Check {
        bool holds;
        const char* what;
    };
    const auto& sets = held.capabilities;
    const std::array checks{
        Check{std::ranges::all_of(held.uid, [&](uid_t one) { return one == expected.uid; }), "user id"},
        Check{std::ranges::all_of(held.gid, [&](gid_t one) { return one == expected.gid; }), "group id"},
        Check{!expected.groups_are_ours || !held.has_groups, "supplementary groups"},
        Check{sets[0] == 0, "inheritable capabilities"},
        Check{sets[1] == expected.capabilities, "permitted capabilities"},
        Check{sets[2] == expected.capabilities, "effective capabilities"},
        Check{!expected.bounding_is_ours || sets[3] == 0, "bounding set"},
        Check{sets[4] == 0, "ambient capabilities"},
        Check{expected.is_launcher || held.no_new_privileges, "no_new_privs"},
        Check{expected.is_launcher || held.seccomp_mode == 2, "seccomp mode"},
        Check{held.seccomp_filters >= expected.seccomp_filters, "seccomp filters"},
    };
    for (const auto& [holds, what] : checks)
        if (!holds) return failure(Errc::kProof, what);
    return {};
}

Status prove_processes_apart(FdRef process) {
    return prove_not_shared(process, std::span(kNamespaces).first(4));
}

Status prove_apart(FdRef process) {
    TRY(prove_not_shared(process, kNamespaces));
    return prove_empty_read_only_root(process);
}

}  // namespace sallyport::sandbox
