// The file rules, and the things that no rule opens.
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

/// What the policy is asked for one open.
struct Scope {
    const policy::Policy* policy = nullptr;
    policy::Access wanted = {};
    Moment now = 0;
    FdRef proc_self_fd = FdRef(-1);
};

/// A name that nothing has, in a directory.
struct Vacant {
    Id directory;
    std::string name;
    bool operator==(const Vacant&) const = default;
};

/// What must not be on the way to the file being opened, with the deny rule for each; kNoRule: the agent's own.
///
/// THREAT: the path of a denied thing leads through a server that does not answer, and every open waits for it. So paths are
/// looked up only after something was found, and only on file systems where something was found.
class Forbidden {
public:
    struct Thing {
        const std::string* path = nullptr;
        Links links = Links::kRefused;
        std::optional<Id> at_start = {};
        std::size_t rule = policy::kNoRule;
        std::optional<Id> today = {};
        std::optional<Vacant> vacant = {};  // where its path leads, if nothing is there
        const Earlier* earlier = nullptr;
        bool is_inside =
            false;  // an own file in an own folder, so that only a second name leads to it by another way
        bool is_settled = false;  // `today` is known, whatever else is found
    };
    explicit Forbidden(std::vector<Thing> things, const Scope& scope = {});

    /// Notes that something was found on these file systems, and looks up the denied things that may be there.
    void meet(std::span<const std::uint64_t> devices);
    /// From now on looks up also what the agent's own folders contain. Call it for a file with several names.
    void meet_second_name();
    /// The rule against that thing, if there is one.
    [[nodiscard]] std::optional<std::size_t> rule_against(const Id& id) const;

    /// The rule against what would be made there.
    [[nodiscard]] std::optional<std::size_t> rule_against(const Vacant& place) const;

    [[nodiscard]] const Scope& scope() const { return scope_; }
    /// Whether a rule denies something, not only the agent.
    [[nodiscard]] bool is_by_rule() const;

private:
    void look_up();
    static bool was_at_start(const Thing& thing, const Id& id);
    std::vector<Thing> things_;
    Scope scope_;
    std::set<std::uint64_t> met_;  // devices
    bool has_looked_ = false;
    bool looks_inside_ = false;
};

/// THREAT: a deny rule compares text, but the file has another name: its directory was renamed or mounted elsewhere, is behind a
/// link, or the file system ignores case. So the thing itself is denied: the inode that the path named when the agent started,
/// and the one that it names at the open.
///
/// THREAT: a file system gives a renamed file another inode number once it has left the cache (overlayfs, vfat). There, denied
/// files are held open with O_PATH until the agent ends: an open file keeps its number, and no other file gets it.
///
/// THREAT: it is renamed while no agent runs. What the path named in earlier runs is denied as well, see remember().
///
/// THREAT: a file of the agent has a second name elsewhere, from a backup by hard links, where a rule accepts that. No way up from there
/// leads to the agent's folders. So the files in them are denied one by one, by the names that they had at the start or, in the state
/// directory, may ever have.
///
/// THREAT: it does not exist yet, so that no inode is denied, and is made by another way: round a link in the path, or by another mount of
/// the directory. So its name in the directory to which the path leads is denied, too.
///
/// THREAT: a path never answers. A child looks at it; if it does not answer in time, only what the path names later is denied.
class Table {
public:
    /// `policy` must outlive the table. `own`: absolute paths of the agent's files and directories, which no rule opens, of what they
    /// contain, too; what is renamed gets a later one. Errors:
    /// kSystem, also if more things must be held than descriptors allow.
    static Result<Table> build(const policy::Policy& policy, const std::vector<std::string>& own);

    /// Denies also what the paths of deny rules named when agents with this state directory started, and takes note of what they name
    /// now. A disk that is full does not stop the start: not_kept(). Errors: those of read_memory().
    Status remember(FdRef state);
    /// Why what is denied now will not be known once it is renamed while no agent runs: an errno; 0: it will be.
    [[nodiscard]] int not_kept() const { return not_kept_; }

    /// Call this again after a fork: `proc_self_fd` belongs to the process that opened it, and held descriptors stay with the
    /// parent. Errors: kSystem.
    Status enter_process();

    [[nodiscard]] const policy::Policy& policy() const { return *policy_; }
    [[nodiscard]] const policy::FileRule& rule_of(const policy::Grant& grant) const {
        return policy_->rules[grant.rule].files[grant.file];
    }
    [[nodiscard]] FdRef proc_self_fd() const { return proc_self_fd_; }

    /// Whether the path is the agent's own, or below one that is.
    [[nodiscard]] bool is_own(const policy::GuestPath& path) const;

    /// Everything that must not be on the way to a file opened for `wanted`. Each call looks it up anew.
    [[nodiscard]] Forbidden forbidden(policy::Access wanted, Moment now) const;

    /// The deny rules whose paths could not be looked at when the table was built.
    [[nodiscard]] const std::vector<policy::Grant>& unseen() const { return unseen_; }

private:
    explicit Table(const policy::Policy& policy) : policy_(&policy) {}
    Status hold(FdRef found);
    const policy::Policy* policy_;
    UniqueFd proc_self_fd_;
    struct Own {
        std::string path;            // absolute, normalised
        std::optional<Id> at_start;  // its identity at the start
        bool is_inside = false;      // it lies in another one, and is no link
    };
    std::vector<Own> own_;
    struct Denied {
        std::optional<Id> at_start;
        bool is_behind_link = false;  // the rule's path contains a link
        Earlier earlier = {};
    };
    std::vector<std::vector<Denied>> denied_;  // by rule, then by file rule
    std::vector<UniqueFd> held_;               // only in the parent; keeps their inode numbers
    std::vector<policy::Grant> unseen_;
    int not_kept_ = 0;
};

}  // namespace sallyport::files
