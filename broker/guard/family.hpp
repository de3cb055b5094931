// The processes of a freeze: a freezer, a spare, and the guard, which watches them. They share their state in memory.
// Runs in:  guard
//
// INVARIANT: as long as one of the three lives, what is frozen gets thawed. While it has a child, the guard makes no call that a
// disk can block: a freeze or thaw that never ends costs one child, and the others continue without it.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/result.hpp"
#include "base/unique_fd.hpp"
#include "broker/guard/states.hpp"
#include "ipc/guard.pb.h"
#include "ipc/limits.hpp"

namespace sallyport::guard {

/// A file system to freeze: an open directory of it, and a mount point for messages.
struct Held {
    UniqueFd fd;
    std::string point;
    bool holds_state = false;  // the agent's state directory is on it
    unsigned level = 0;        // ascending; file systems of one level do not lie on each other
};

enum class Progress : std::uint32_t { kSyncing, kFreezing, kDone };

/// The shared memory. Only atomics, since each process can be killed at any moment.
struct Shared {
    struct Entry {
        std::atomic<State> state;
        std::atomic<int> sys_errno;
    };
    std::atomic<Progress> progress;
    std::atomic<bool> is_over;     // freeze nothing more, thaw what is frozen
    std::atomic<bool> is_ordered;  // by the guard, which sends the report itself
    std::atomic<bool> has_failed;
    std::atomic<std::uint32_t> next;
    std::atomic<std::int64_t> first_ns;
    std::atomic<std::int64_t> last_ns;
    std::array<Entry, kMaxFreezeMounts> entries;
};

/// Where the last survivor reports if the guard dies, and for which freeze.
struct Listener {
    FdRef broker;
    std::uint64_t freeze = 0;  // the broker's number of the freeze
};

class Family {
public:
    enum class Task : std::uint8_t { kFreeze, kTakeOver };

    /// Forks the freezer and the spare. The freezer begins at once: it syncs all file systems in parallel, then freezes them in
    /// order. With kTakeOver it does neither; all count as frozen. Errors: kSystem; then nothing is frozen.
    static Result<Family> start(std::vector<Held> held, bool fails_if_frozen, Task task,
                                const Listener& listener);

    /// Orders the thaw and returns at once; is_thawed() says when it is done.
    void thaw();
    /// Adds a child to the thaw, for one that is stuck or dead. If it cannot fork and both children are gone, it thaws by itself.
    void help();
    /// Reads the children's wake-ups. Returns whether both live.
    bool hear();

    [[nodiscard]] Progress progress() const { return shared_->progress; }
    [[nodiscard]] bool is_thawed() const { return left() == 0; }
    [[nodiscard]] std::uint32_t left() const;
    [[nodiscard]] std::uint32_t count(State state) const;
    /// Whether a file system that is not thawed holds the state directory.
    [[nodiscard]] bool is_state_left() const;
    /// The first file system in `state`.
    [[nodiscard]] std::optional<ipc::MountError> find(State state, ipc::MountError::Step step) const;
    [[nodiscard]] std::int64_t window_us() const;
    /// Descriptors that become readable when the children have done something or died.
    [[nodiscard]] std::vector<int> wake_ups() const;

private:
    struct Unmap {
        void operator()(Shared* shared) const;
    };
    struct Child {
        UniqueFd life;  // our end; when it is closed the child thaws
        UniqueFd process;
    };
    static Result<Child> start_child(const Family& family, const std::function<void(FdRef)>& body);

    std::vector<Held> held_;
    std::unique_ptr<Shared, Unmap> shared_;
    Child freezer_;
    Child spare_;
    UniqueFd freezing_;  // the other end is held by the freezer and its helpers
};

}  // namespace sallyport::guard
