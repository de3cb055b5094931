// The decision: whether a request may be carried out, and by which rule. The order of rules does not matter: any matching deny
// rule wins, else one allow rule must match with all that it says.
// Runs in:  broker and files, after lockdown(); starter; the policy tool
// Input:    a policy compiled from the admin's text; requests of a worker that may have been taken over
// Relies on: nothing: pure, no I/O, no clock
#pragma once

#include <bitset>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.hpp"
#include "ipc/guard.pb.h"
#include "ipc/inspector.pb.h"
#include "ipc/launcher.pb.h"
#include "ipc/limits.hpp"
#include "ipc/times.hpp"
#include "policy/budget.hpp"
#include "policy/guest_path.hpp"
#include "schema/commands.hpp"

namespace sallyport::policy {

/// The access that is wanted or allowed.
struct Access {
    bool read = false;
    bool write = false;
    bool create = false;
    [[nodiscard]] bool covers(Access wanted) const {
        return (read || !wanted.read) && (write || !wanted.write) && (create || !wanted.create);
    }
    [[nodiscard]] bool overlaps(Access other) const {
        return (read && other.read) || (write && other.write) || (create && other.create);
    }
    bool operator==(const Access&) const = default;
};

/// The file types that a rule accepts.
struct Kinds {
    bool regular = false;
    bool directory = false;
    bool fifo = false;
    bool socket = false;
    bool character_device = false;
    bool block_device = false;
    bool operator==(const Kinds&) const = default;
};

enum class Kind : std::uint8_t { kRegular, kDirectory, kFifo, kSocket, kCharacterDevice, kBlockDevice };

/// What is known of a file once it has been found.
struct FoundFile {
    Kind kind = Kind::kRegular;
    std::uint32_t owner = 0;
    std::uint32_t links = 1;
    bool is_setid = false;  // set-user-id or set-group-id
    std::uint64_t size = 0;
};

struct FileRule {
    std::string under;
    Access access;
    std::optional<std::uint64_t> max_size;
    std::vector<std::uint32_t> owners;
    Kinds kinds;
    bool follow_symlinks = false;
    bool any_links = false;
    bool any_setid = false;
    std::uint32_t create_mode = 0600;
};

/// How guest-shutdown ends the guest.
enum class Mode : std::uint8_t { kNone, kHalt, kPowerdown, kReboot };

/// The way in which the guest is ended or suspended; kAny: the first possible one.
enum class Method : std::uint8_t { kAny, kSystemd, kInit, kPmUtils, kKernel };

enum class Effect : std::uint8_t { kAllow, kDeny };

struct Rule {
    std::string id;
    std::string where;  // FILE:LINE in the admin's text
    Effect effect = Effect::kDeny;
    // What every decision looks at lies side by side, so that little memory is read for each of thousands of rules.
    CommandSet commands;
    std::vector<FileRule> files;
    std::optional<std::int64_t> expires;
    std::optional<ipc::When> when;
    Budget
        budget;  // of an allow rule. What is left of it, only the broker knows: no decision here looks at it
    std::bitset<4> modes;  // by Mode
    std::optional<ipc::FreezeSelection> freeze;
    std::string hooks;  // directory; empty: none
    Method method = Method::kAny;
    std::optional<ipc::ReplyFilter> reply;         // for the inspector, which carries it out
    std::vector<ipc::ExecTemplate> exec;           // for guest-exec
    std::optional<ipc::AccountTemplate> accounts;  // for @accounts
    std::vector<ipc::SetRule> sets;  // for guest-set-time, -vcpus, -memory-blocks: one of each at most
};

/// The admin's settings for the audit log.
struct AuditTerms {
    std::uint64_t max_size = kDefaultLogSize;  // of one file
    std::uint32_t keep = kDefaultLogKeep;      // files besides the current one
    bool goes_on = false;                      // what cannot be recorded is carried out nevertheless
    bool journal_all = false;                  // standard error gets every line
};

struct Policy {
    std::vector<Rule> rules;
    std::vector<Rule> dry_runs;  // rules that decide nothing: see with_dry_runs()
    std::string digest;          // SHA-256 of the text, 32 bytes
    bool preview_names = false;
    std::vector<std::uint32_t> peer_uids;
    std::vector<std::uint32_t> peer_cids;
    AuditTerms audit;
    CommandSet narrowed_to;  // by the options -a and -b, which can only take away
};

/// Whether `text` can be the id of a rule: 1 to 64 letters, digits, '-', '_' and '.'. Ids appear in the audit log.
bool is_rule_id(std::string_view text);

/// Reads the compiled form, and checks every field again: unknown commands, unknown enum values and empty rules are errors.
/// `narrowed_to` stays at all commands. kMaxRules limits the number of `files` entries. Errors: kInvalid, kLimit.
Result<Policy> load(std::string_view compiled);

/// Seconds since 1970, UTC.
using WallTime = std::int64_t;

inline constexpr std::size_t kNoRule = static_cast<std::size_t>(-1);

enum class Why : std::uint8_t {
    kAllowed,
    kNarrowed,       // a command line option takes the command away
    kDenied,         // a deny rule matches
    kNoRuleMatches,  // no allow rule matches
};

/// What applies to a file as long as it is open.
struct Terms {
    std::optional<std::uint64_t> max_size;  // of a regular file: nothing is read or written beyond this
};

/// A file rule of an allow rule under which a file may be opened, if the inode fits too.
struct Grant {
    std::size_t rule = kNoRule;
    std::size_t file = 0;
    Terms terms = {};
};

struct Decision {
    Why why = Why::kNoRuleMatches;
    std::size_t rule = kNoRule;  // the rule that decided; kNoRule also for a floor command without a rule
    std::vector<Grant> grants;   // file opens only: to be tried in this order
    [[nodiscard]] bool is_allowed() const { return why == Why::kAllowed; }
};

/// Whether it has neither expired nor is outside its hours.
bool is_in_time(const Rule& rule, Moment now);

/// A rule that is not live has no effect: it grants nothing and forbids nothing.
inline bool is_live(const Rule& rule, Moment now) {
    return (!rule.expires && !rule.when) || is_in_time(rule, now);
}

/// Writes down when it is live.
void set_live(const Rule& rule, ipc::LiveTime& to);

/// Whether `command` may be used at all now, whatever its arguments (guest-info's `enabled`). For guest-shutdown: in at least one
/// mode.
Decision decide_command(const Policy& policy, CommandId command, Moment now);

/// Whether `path` may be opened for `wanted`. Grants: of all matching allow rules, deepest directory first.
Decision decide_file_open(const Policy& policy, const GuestPath& path, Access wanted, Moment now);

/// Whether a file that exists may be opened by that entry of an allow rule. Names, set-id bits and size count of regular files only.
bool accepts_file(const FileRule& rule, const FoundFile& file);

/// The file rules of deny rules that now forbid to open files for `wanted`, wherever those are.
std::vector<Grant> denials(const Policy& policy, Access wanted, Moment now);

/// Whether `path` is on the way to a directory below which something may be opened for `wanted`.
bool leads_to_allowed(const Policy& policy, const GuestPath& path, Access wanted, Moment now);

/// Whether guest-shutdown may be carried out in that mode.
Decision decide_shutdown(const Policy& policy, Mode mode, Moment now);

/// Commands, and modes of guest-shutdown. guest-shutdown is included only if it has a mode.
struct Reach {
    CommandSet commands;
    std::bitset<4> modes;  // by Mode
};

/// What may be allowed at any time. It determines what each process holds and receives of the policy. A deny rule that does not
/// always count takes nothing away.
Reach reach_of(const Policy& policy);

/// When the rule allows the command; nothing if an option takes it away, or a deny rule always.
std::optional<ipc::Times> times_of(const Policy& policy, const Rule& rule, CommandId command);

/// The numbers of the rules by which file systems may be frozen or trimmed at any time: the guard's rows, in order. If there are
/// none, the agent needs no guard.
std::vector<std::size_t> freeze_rules(const Policy& policy);

/// The commands that decide_command() allows.
CommandSet enabled_commands(const Policy& policy, Moment now);

/// The policy as it would be if its dry runs counted, behind the other rules. By this nothing is carried out and no process holds
/// anything: it is asked only for what to record.
Policy with_dry_runs(const Policy& policy);

}  // namespace sallyport::policy
