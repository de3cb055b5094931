// What a process needs beyond its fixed minimum. The policy decides it; the lockdown grants it.
// Runs in:  data only
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace sallyport::sandbox {

/// The kinds of processes that have a filter and limits.
enum class Process : std::uint8_t {
    kBroker,
    kNursery,
    kWorker,
    kCompiler,
    kGuard,
    kInspector,
    kRecorder,
    kFiles,
    kSetter
};

/// Which rows of a table of system calls are installed beside those that always are.
struct Needs {
    bool listens = false;        // broker: accepts connections on a unix or vsock socket
    bool asks_files = false;     // broker: a rule lets files be opened
    bool freezes = false;        // broker: there is a guard, and so a mark of the frozen state
    bool writes_files = false;   // files
    bool creates_files = false;  // files
    bool asks_netlink = false;   // inspector: interfaces and addresses of the network
    bool forks = false;          // files, inspector, guard: the parent itself, not its children
    bool sets_clock = false;     // setter
    bool sets_devices = false;   // setter: processors or memory
};

/// One capability number of linux/capability.h with the reason why it is kept.
struct KeptCapability {
    int capability;
    const char* reason;
};

/// The files hand.
struct FilesNeeds {
    bool reads_files = false;
    bool writes_files = false;
    bool creates_files = false;
    bool others_files = false;        // files whose owner is not the agent's own user
    bool others_directories = false;  // the way to files leads through directories that others cannot enter
    /// A directory beneath which Landlock lets files be opened.
    struct Tree {
        std::string path;  // for the record; the rule is for the opened directory
        int fd = -1;       // lent
        bool read = false;
        bool write = false;
        bool create = false;
        bool list = false;  // directories themselves may be opened
    };
    std::vector<Tree> trees;
};

/// The launcher.
struct LauncherNeeds {
    bool asks_kernel = false;   // reboot(2) is used where there is no init to ask
    bool takes_users = false;   // programs that a host starts run as the user of their rule
    bool cuts_network = false;  // some of these programs run without a network
};

/// A setter, for its one order.
struct SetterNeeds {
    bool sets_clock = false;
    const char* devices = nullptr;  // directory beneath which it reads and writes files
};

/// The inspector and its children.
struct InspectorNeeds {
    /// A file or directory that can be opened for reading after the lockdown. One that does not exist stays closed.
    struct Tree {
        const char* path;
        bool list = false;  // directories can be listed
    };
    std::vector<Tree> trees;
    bool asks_netlink = false;
    bool follows_links = false;  // a new child opens files whose links may lead anywhere
};

/// The recorder's descriptors of the files whose contents, the latest time and what is taken of budgets, are overwritten in place. It
/// appends to all others.
inline constexpr int kRecordersClock = 6;
inline constexpr int kRecordersBudgets = 7;

}  // namespace sallyport::sandbox
