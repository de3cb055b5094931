// The processes around a freeze: one freezes, one is spare, the guard watches. What they know is in memory they share.
// Runs in:  guard
//
// INVARIANT: as long as one of the three lives, what is frozen gets thawed. The guard itself makes no call that a disk can
// block while it has a child: a freeze or thaw that never ends costs one child, and the others go on around it.
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

/// A file system to be frozen: an open directory of it, and its name for people.
struct Held {
    UniqueFd fd;
    std::string point;
    bool holds_state = false;  // the agent's state directory is on it
    unsigned level = 0;        // ascending; those of one level do not lie on each other
};

enum class Stage : std::uint32_t { kSyncing, kFreezing, kDone };

/// What the processes share. Only atomics: each may be killed at any moment.
struct Shared {
    struct Entry {
        std::atomic<State> state;
        std::atomic<int> sys_errno;
    };
    std::atomic<Stage> stage;
    std::atomic<bool> is_over;     // freeze nothing more, thaw what is frozen
    std::atomic<bool> is_ordered;  // by the guard, which will say so itself
    std::atomic<bool> has_failed;
    std::atomic<std::uint32_t> next;
    std::atomic<std::int64_t> first_ns;
    std::atomic<std::int64_t> last_ns;
    std::array<Entry, kMaxFreezeMounts> entries;
};

/// Whom the last survivor tells if the guard dies, and of which freeze.
struct Listener {
    FdRef broker;
    std::uint64_t freeze = 0;  // the broker's number of it
};

class Family {
public:
    enum class Task : std::uint8_t { kFreeze, kTakeOver };

    /// Forks the freezer and the spare. The freezer begins at once: writes everything out, in parallel, then freezes in
    /// order; with kTakeOver all are taken to be frozen. Errors: kSystem;
    /// nothing is frozen then.
    static Result<Family> start(std::vector<Held> held, bool fails_if_frozen, Task task,
                                const Listener& listener);

    /// Orders the thaw. Returns at once; is_thawed() tells when it is done.
    void thaw();
    /// Puts another child to the thaw, around one that is stuck or dead; does it itself if it cannot.
    void help();
    /// Takes the children's wake-ups. Gives back whether both live.
    bool hear();

    [[nodiscard]] Stage stage() const { return shared_->stage; }
    [[nodiscard]] bool is_thawed() const { return left() == 0; }
    [[nodiscard]] std::uint32_t left() const;
    [[nodiscard]] std::uint32_t count(State state) const;
    /// Whether what is left has the state directory on it.
    [[nodiscard]] bool is_state_left() const;
    /// The first that is in `state`.
    [[nodiscard]] std::optional<ipc::MountError> find(State state, ipc::MountError::Step step) const;
    [[nodiscard]] std::int64_t window_us() const;
    /// Descriptors that are readable when the children have done something, or died.
    [[nodiscard]] std::vector<int> wake_ups() const;

private:
    struct Unmap {
        void operator()(Shared* shared) const;
    };
    struct Child {
        UniqueFd life;  // our end; at its end the child thaws
        UniqueFd process;
    };
    static Result<Child> start_child(const Family& family, const std::function<void(FdRef)>& body);

    std::vector<Held> held_;
    std::unique_ptr<Shared, Unmap> shared_;
    Child freezer_;
    Child spare_;
    UniqueFd freezing_;  // its other end is held by the freezer and those that freeze for it
};

}  // namespace sallyport::guard
