// The broker's state: what is open for the host, and how far the current worker is.
// Runs in:  broker, after lockdown()
// INVARIANT: open files outlive workers and connections; everything in WorkerState ends with its worker.
#pragma once

#include <array>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/clock.hpp"
#include "base/unique_fd.hpp"
#include "broker/guard/mark.hpp"
#include "broker/serve/accounts.hpp"
#include "broker/serve/budgets.hpp"
#include "broker/serve/dry_run.hpp"
#include "broker/serve/files_hand.hpp"
#include "broker/serve/inspector.hpp"
#include "broker/serve/open_file.hpp"
#include "broker/serve/programs.hpp"
#include "broker/serve/request.hpp"
#include "broker/serve/setting.hpp"
#include "ipc/arena.hpp"
#include "ipc/broker.pb.h"
#include "ipc/limits.hpp"
#include "policy/decide.hpp"

namespace sallyport::broker {

/// The handles of open files: a block of numbers reserved for this run, so that none is ever used twice.
class HandleCounter {
public:
    /// `lock` is the locked file of the reservation (one agent per state directory), which is kept open.
    HandleCounter(UniqueFd lock, std::int64_t first)
        : lock_(std::move(lock)), next_(first), end_(first + kHandlesPerRun) {}

    /// Takes the next handle. Errors: kLimit if this run has used up its block.
    Result<std::int64_t> take();

private:
    UniqueFd lock_;
    std::int64_t next_;
    std::int64_t end_;  // the first handle of the next run
};

/// An order for a clerk of the files hand, and what belongs to it.
struct FileTask {
    ipc::FileOrder order;
    UniqueFd file;                      // close: the file
    std::uint64_t clerk = 0;            // the clerk that does it; 0: none is free yet
    std::vector<policy::Grant> grants;  // open: the grants that were decided
};

/// An open, close or seek for a clerk. It continues if its worker ends.
struct FileWork {
    Request request;  // has a deadline while it waits for a clerk
    FileTask task;
};

/// A part of a file that a clerk has to read or write.
struct FilePart {
    bool is_wanted = false;
    std::uint64_t clerk = 0;  // the clerk that does it; 0: none is free yet
    std::size_t size = 0;
    [[nodiscard]] bool waits_for_clerk() const { return is_wanted && clerk == 0; }
};

/// A transfer to the worker in parts: a file read, or a reply of the inspector or output of a program that does not fit into a
/// frame.
struct Read {
    Request request;
    std::int64_t handle = 0;
    std::string text;          // of the inspector or program; empty: a file is read
    Reply answer = {};         // sent with the last part of the text
    std::int64_t program = 0;  // the one that wrote the text; 0: none
    std::uint64_t wanted = 0;  // bytes still to send
    std::uint64_t done = 0;
    std::size_t next_chunk = 0;
    std::size_t in_flight = 0;  // parts that the worker has not used yet
    FilePart part;              // at `next_chunk`
};

/// A file write in parts.
struct Write {
    Request request;
    std::int64_t handle = 0;
    std::uint64_t wanted = 0;  // bytes still to write
    std::uint64_t coming = 0;  // bytes that the worker has yet to send
    std::uint64_t done = 0;
    std::vector<ipc::Extent> parts;  // received and not written yet
    FilePart part;                   // the first of them
};

/// A query to the inspector. The request's deadline is the inspector's.
struct Query {
    Request request;
    std::string text = {};  // the reply so far
};

/// What the launcher has to do for a request. It continues if the worker ends.
struct Launch {
    Request request;  // its deadline is for the line to reach the disk
    std::uint32_t row = 0;
    bool is_told = false;  // the launcher was told
};

struct WorkerState {
    std::uint64_t number = 0;  // 0: no worker
    bool has_greeted = false;
    bool is_deaf = false;  // it does not read its replies
    std::uint64_t last_seq = 0;
    std::uint64_t ended_seq =
        0;  // the last transfer that is over; frames about its parts may still be under way
    std::size_t ended_parts = 0;  // at most so many, and they mean nothing
    CommandSet enabled;           // as Welcome said
    std::optional<Read> read;     // at most one of the five
    std::optional<Write> write;
    std::optional<Query> query;
    std::optional<ProgramResult> result;
    std::optional<StatusWait> status;
};

// Requests that wait for the guard. They continue if their workers end.
struct Freeze {
    Request request;
    std::uint32_t row = 0;
    bool by_list = false;               // freeze-list: only these mount points
    std::vector<std::string> wanted;    // mount points, sorted
    std::vector<std::uint32_t> chosen;  // the file systems that they belong to
};
struct Trim {
    Request request;
    schema::FstrimReply reply;  // as far as reported
};
struct Thaw {
    Request request;
};

/// The state of the hooks around a freeze. If one is due, serve() tells the launcher when it is free.
enum class Hooks : std::uint8_t { kNone, kFreezeDue, kFreezing, kFrozen, kThawDue, kThawing };

/// The guard, and the requests that wait for it.
struct Freezing {
    UniqueFd guard;                   // its socket; closed: no rule allows a freeze
    std::vector<std::uint32_t> rows;  // the guard's rows, by rule
    std::optional<guard::FrozenMark> mark;
    std::uint64_t number = 0;      // of the last freeze
    bool thaw_is_ordered = false;  // since that freeze began; so the freeze is not ordered any more
    bool guard_is_late = false;    // a freeze or trim was given up, and the guard's next report is about it
    bool is_frozen = false;        // from the order to freeze until everything is thawed
    bool is_stuck = false;         // what is left cannot be thawed, and does not hold the log
    std::optional<Freeze> freeze;
    std::optional<Trim> trim;
    std::optional<Thaw> thaw;
    Hooks hooks = Hooks::kNone;
    [[nodiscard]] bool hooks_are_running() const {
        return hooks == Hooks::kFreezing || hooks == Hooks::kThawing;
    }

    /// Called before a freeze is ordered. INVARIANT: until leave() nothing of ours touches a disk: the mark is set, the log is
    /// held, the worker is told. Errors: kSystem if the mark cannot be set; then nothing has changed.
    Status enter(const Context& context);
    /// Something cannot be thawed, and does not hold the state directory: the log, the hooks and all commands except those that
    /// freeze continue.
    void go_on_without(const Context& context);
    /// Whether only those commands are served that are allowed while file systems are frozen.
    [[nodiscard]] bool holds_commands() const { return is_frozen && !is_stuck; }
    /// Everything is thawed: disks may be written again.
    void leave(const Context& context);
};

struct Session {
    const policy::Policy& policy;
    std::string start_directory;
    HandleCounter handles;
    ExpiryClock clock;
    FilesHand files_hand;
    ipc::Arena arena;  // of the current connection; a device has one for the whole run
    Inspector inspector;
    ipc::Welcome::Channel channel = ipc::Welcome::STREAM;
    std::map<std::int64_t, OpenFile> files;
    std::array<std::optional<FileWork>, kMaxFileWork> file_work;
    Freezing freezing;
    WorkerState worker;
    std::optional<Launch> launch;
    Programs programs;
    Accounts accounts;
    Settings settings;
    std::optional<DryRun> dry_run = {};  // nothing: no rule dry-runs
    Budgets budgets = {};
};

/// The id of the rule that decided; empty if none did.
std::string_view rule_id(const policy::Policy& policy, const policy::Decision& decision);

}  // namespace sallyport::broker
