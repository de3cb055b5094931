// The broker's state: what is open for the host, and where the present worker is in its conversation.
// Runs in:  broker, after lockdown()
// INVARIANT: open files outlive workers and connections; everything in WorkerState dies with its worker.
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
#include "broker/serve/files_hand.hpp"
#include "broker/serve/open_file.hpp"
#include "broker/serve/programs.hpp"
#include "broker/serve/request.hpp"
#include "broker/serve/setting.hpp"
#include "ipc/arena.hpp"
#include "ipc/broker.pb.h"
#include "ipc/limits.hpp"
#include "policy/decide.hpp"

namespace sallyport::broker {

/// The numbers that open files are known by: a block that was reserved for this run, so that none is used twice.
class HandleCounter {
public:
    /// `lock` is what the block was reserved by: one agent for each state directory. It is kept.
    HandleCounter(UniqueFd lock, std::int64_t first)
        : lock_(std::move(lock)), next_(first), end_(first + kHandlesPerRun) {}

    /// Takes the next number. Errors: kLimit if those of this run are used up.
    Result<std::int64_t> take();

private:
    UniqueFd lock_;
    std::int64_t next_;
    std::int64_t end_;  // the first of the next run
};

/// What a clerk of the files hand is to do, and what goes with it.
struct FileTask {
    ipc::FileOrder order;
    UniqueFd file;                      // a close: which
    std::uint64_t clerk = 0;            // at work on it; 0: none is free yet
    std::vector<policy::Grant> grants;  // an open: what was decided
};

/// An open, a close or a seek that a clerk has to do. It goes on if its worker ends.
struct FileWork {
    Request request;  // while it waits for a clerk it has a deadline
    FileTask task;
};

/// A part of a file that a clerk has to read or write.
struct FilePart {
    bool is_wanted = false;
    std::uint64_t clerk = 0;  // at work on it; 0: none is free yet
    std::size_t size = 0;
    [[nodiscard]] bool waits_for_clerk() const { return is_wanted && clerk == 0; }
};

/// A file read, or what the inspector said or a program wrote and does not fit a frame, whose parts are under way.
struct Read {
    Request request;
    std::int64_t handle = 0;
    std::string text;          // what was said or written; empty: a file is read
    Reply answer = {};         // that comes with the last part of the text
    std::int64_t program = 0;  // that wrote the text; 0: none did
    std::uint64_t wanted = 0;  // bytes still to be given
    std::uint64_t done = 0;
    std::size_t next_chunk = 0;
    std::size_t in_flight = 0;  // parts that the worker has not used yet
    FilePart part;              // at `next_chunk`
};

/// A file write whose parts are under way.
struct Write {
    Request request;
    std::int64_t handle = 0;
    std::uint64_t wanted = 0;  // bytes still to be written
    std::uint64_t coming = 0;  // bytes that the worker has still to hand over
    std::uint64_t done = 0;
    std::vector<ipc::Extent> parts;  // that have come and are not written
    FilePart part;                   // the first of them
};

/// What the inspector was asked. It is late at the request's deadline.
struct Query {
    Request request;
    std::uint64_t number = 0;
    std::string text;  // what it said, as far as it has come
};

/// What the launcher is to do, or does, for a request. It goes on if the request's worker ends.
struct Launch {
    Request request;  // until it is due its line must be on the disk
    std::uint32_t row = 0;
    bool is_told = false;  // the launcher
};

struct WorkerState {
    std::uint64_t number = 0;  // 0: there is none
    bool has_greeted = false;
    bool is_deaf = false;  // it has not read what it was told
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

// Requests that wait for the guard. They go on if their workers end.
struct Freeze {
    Request request;
    std::uint32_t row = 0;
    bool by_list = false;               // freeze-list: these mount points only
    std::vector<std::string> wanted;    // mount points, sorted
    std::vector<std::uint32_t> chosen;  // and which file systems these are
};
struct Trim {
    Request request;
    schema::FstrimReply reply;  // as far as it is known
};
struct Thaw {
    Request request;
};

/// What the programs around a freeze are about. What is due, serve() tells the launcher when that is free.
enum class Hooks : std::uint8_t { kNone, kFreezeDue, kFreezing, kFrozen, kThawDue, kThawing };

/// The guard, and what it was asked for.
struct Freezing {
    UniqueFd guard;                   // its socket; not open: no rule lets anything be frozen
    std::vector<std::uint32_t> rows;  // its rows, by rule
    std::optional<guard::FrozenMark> mark;
    std::uint64_t number = 0;      // of the last freeze
    bool thaw_is_ordered = false;  // since that freeze began: it is not ordered any more
    bool guard_is_late = false;    // a freeze or trim was given up; what the guard still says is about that
    bool is_frozen = false;        // from the order to freeze until the guard has thawed everything
    bool is_stuck = false;         // and what is left of that cannot be thawed, and the log is not on it
    std::optional<Freeze> freeze;
    std::optional<Trim> trim;
    std::optional<Thaw> thaw;
    Hooks hooks = Hooks::kNone;
    [[nodiscard]] bool hooks_are_running() const {
        return hooks == Hooks::kFreezing || hooks == Hooks::kThawing;
    }

    /// Before a freeze is ordered. INVARIANT: from here until leave() nothing of ours touches a disk: the mark is made, the log
    /// held, and the worker told. Errors: kSystem if the mark cannot be made; then nothing has changed.
    Status enter(const Context& context);
    /// Something cannot be thawed, and the state directory is not on it: the log, the hooks and all commands but those that freeze go on.
    void go_on_without(const Context& context);
    /// Whether only commands are answered that are answered while file systems are frozen.
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
    ipc::Arena arena;    // of the present connection; a device's is as old as we are
    UniqueFd inspector;  // its socket; not open if the policy needs none
    std::uint64_t queries = 0;
    ipc::Welcome::Channel channel = ipc::Welcome::STREAM;
    std::map<std::int64_t, OpenFile> files;
    std::array<std::optional<FileWork>, kMaxFileWork> file_work;
    Freezing freezing;
    WorkerState worker;
    std::optional<Launch> launch;
    Programs programs;
    Accounts accounts;
    Settings settings;
};

/// The id of the rule that decided; empty if none did.
std::string_view rule_id(const policy::Policy& policy, const policy::Decision& decision);

}  // namespace sallyport::broker
