// The rules about files, and the things that no rule opens.
// Runs in:  files; built before lockdown()
// Input:    the admin's policy, the agent's own paths
#pragma once

#include <optional>
#include <set>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "broker/files/kernel.hpp"
#include "broker/files/lookup.hpp"
#include "broker/files/memory.hpp"
#include "policy/decide.hpp"

namespace sallyport::files {

/// What an open asks of the policy.
struct Scope {
    const policy::Policy* policy = nullptr;
    policy::Access wanted = {};
    policy::WallTime now = 0;
    FdRef proc_self_fd = FdRef(-1);
};

/// What must not be on the way to one file that is opened, and the deny rule that says so; kNoRule: it is the agent's own.
///
/// THREAT: the name of a denied thing leads through a server that does not answer, and each open waits for it. So a name is looked up
/// when something has been found, and only file systems are asked on which something was.
class Forbidden {
public:
    struct Thing {
        const std::string* path = nullptr;
        Links links = Links::kRefused;
        std::optional<Id> at_start = {};
        std::size_t rule = policy::kNoRule;
        std::optional<Id> today = {};
        const Earlier* earlier = nullptr;
        bool is_settled = false;  // `today` is known, whatever else is found
    };
    explicit Forbidden(std::vector<Thing> things, const Scope& scope = {});

    /// Takes note that something was found on these file systems, and looks up what may lie there.
    void meet(std::span<const std::uint64_t> devices);
    /// The rule against that thing, if there is one.
    [[nodiscard]] std::optional<std::size_t> rule_against(const Id& id) const;

    [[nodiscard]] const Scope& scope() const { return scope_; }
    /// Whether a rule, and not the agent alone, denies something.
    [[nodiscard]] bool is_by_rule() const;

private:
    std::vector<Thing> things_;
    Scope scope_;
    std::set<std::uint64_t> met_;  // devices
    bool has_looked_ = false;
};

/// THREAT: a deny rule compares text, but the file can be reached by another name: its directory was renamed, mounted elsewhere, is
/// behind a link, or the file system takes upper for lower case. So what is denied is the thing: the inode that the path named
/// when the agent started, and the one that it names at the moment of the open.
///
/// THREAT: a file system gives what was renamed another number once it has left the cache (overlayfs, vfat). There, what is denied is held
/// open for nothing (O_PATH) until the agent ends: what is held keeps its number, and nobody else gets it.
///
/// THREAT: it is renamed while no agent runs. What the path named in earlier runs is denied as well, see remember().
///
/// THREAT: a path never answers. It is looked at by a child; where nothing was seen in time, only what the path names later is known.
class Table {
public:
    /// `policy` must outlive the table. `own` are absolute paths of the agent's files and directories, which no rule opens.
    /// Errors: kSystem, also if there are more things to be held than descriptors.
    static Result<Table> build(const policy::Policy& policy, const std::vector<std::string>& own);

    /// Denies also what the paths of deny rules named when agents with this state directory started, and takes note of what they name
    /// now. A disk that is full does not stop the start: not_kept(). Errors: those of read_memory().
    Status remember(FdRef state);
    /// Why what is denied now will not be known once it is renamed while no agent runs: an errno; 0: it will be.
    [[nodiscard]] int not_kept() const { return not_kept_; }

    /// To be called once more after a fork: `proc_self_fd` is that of the process which opened it, and what is held the parent holds.
    /// Errors: kSystem.
    Status enter_process();

    [[nodiscard]] const policy::Policy& policy() const { return *policy_; }
    [[nodiscard]] const policy::FileRule& rule_of(const policy::Grant& grant) const {
        return policy_->rules[grant.rule].files[grant.file];
    }
    [[nodiscard]] FdRef proc_self_fd() const { return proc_self_fd_; }

    /// Whether the path is the agent's, or lies below what is.
    [[nodiscard]] bool is_own(const policy::GuestPath& path) const;

    /// Everything that must not be on the way to a file that is opened for `wanted`. Looked up anew after each call.
    [[nodiscard]] Forbidden forbidden(policy::Access wanted, policy::WallTime now) const;

    /// Which file rules that deny something could not be looked at when the table was built.
    [[nodiscard]] const std::vector<policy::Grant>& unseen() const { return unseen_; }

private:
    explicit Table(const policy::Policy& policy) : policy_(&policy) {}
    Status hold(FdRef found);
    const policy::Policy* policy_;
    UniqueFd proc_self_fd_;
    struct Own {
        std::string path;            // absolute, normalised
        std::optional<Id> at_start;  // what it was then
    };
    std::vector<Own> own_;
    struct Denied {
        std::optional<Id> at_start;
        bool is_behind_link = false;  // the admin's rule names it by one
        Earlier earlier = {};
    };
    std::vector<std::vector<Denied>> denied_;  // by rule, by file rule
    std::vector<UniqueFd> held_;               // in the parent, so that their numbers stay
    std::vector<policy::Grant> unseen_;
    int not_kept_ = 0;
};

}  // namespace sallyport::files
