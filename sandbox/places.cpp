// Runs in:  every process; the policy tool
#include "sandbox/places.hpp"

#include <algorithm>
#include <array>

namespace sallyport::sandbox {

namespace {

// System directories: what is mounted on them is mounted before any service starts. On others, such as /mnt, /data and /backup,
// something may be mounted at any time.
constexpr std::array<std::string_view, 18> kOfTheSystem{"bin",   "boot",  "dev", "etc",  "home", "lib",
                                                        "lib64", "media", "opt", "proc", "root", "run",
                                                        "sbin",  "srv",   "sys", "tmp",  "usr",  "var"};

constexpr std::array kOfNursery{kWorkersExecutable};
constexpr std::array kOfCompiler{kZones};
constexpr std::array kOfGuard{kMountPoints, kSysfs};
constexpr std::array kOfRecorder{kLog};
constexpr std::array kOfSetter{kDevices};

}  // namespace

std::span<const Place> places_of(Process process) {
    switch (process) {
        case Process::kBroker:
        case Process::kWorker:
        case Process::kFiles:
        case Process::kInspector:
            return {};
        case Process::kNursery:
            return kOfNursery;
        case Process::kCompiler:
            return kOfCompiler;
        case Process::kGuard:
            return kOfGuard;
        case Process::kRecorder:
            return kOfRecorder;
        case Process::kSetter:
            return kOfSetter;
    }
    check_failed();
}

bool has_empty_root(Process process) {
    return process == Process::kNursery || process == Process::kWorker;
}

std::uint64_t rights_of(const FilesNeeds::Tree& tree) {
    std::uint64_t all = 0;
    if (tree.read) all |= LANDLOCK_ACCESS_FS_READ_FILE;
    if (tree.write) all |= LANDLOCK_ACCESS_FS_WRITE_FILE | landlock::kTruncate;
    // A new file that cannot get the mode of its rule is removed again.
    if (tree.create) all |= LANDLOCK_ACCESS_FS_MAKE_REG | LANDLOCK_ACCESS_FS_REMOVE_FILE;
    if (tree.list) all |= LANDLOCK_ACCESS_FS_READ_DIR;
    return all;
}

std::uint64_t rights_of(const InspectorNeeds::Tree& tree) {
    return tree.list ? kReadTree : LANDLOCK_ACCESS_FS_READ_FILE;
}

std::optional<std::string> system_directory(std::string_view under) {
    const std::size_t end = under.find('/', 1);
    if (end == under.npos) return std::nullopt;
    if (std::ranges::find(kOfTheSystem, under.substr(1, end - 1)) == kOfTheSystem.end()) return std::nullopt;
    return std::string(under.substr(0, end));
}

}  // namespace sallyport::sandbox
