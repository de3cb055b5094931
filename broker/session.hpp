// The broker's state: what is open for the host, and where the present worker is in its conversation.
// Runs in:  broker, after lockdown()
// INVARIANT: open files outlive workers and connections; everything in WorkerState dies with its worker.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "broker/audit.hpp"
#include "broker/expiry_clock.hpp"
#include "broker/files/table.hpp"
#include "broker/guard/mark.hpp"
#include "ipc/arena.hpp"
#include "ipc/broker.pb.h"
#include "ipc/unique_fd.hpp"
#include "policy/decide.hpp"

namespace sallyport::broker {

/// The numbers that open files are known by: from kFirstHandle, never used twice, also over restarts.
class HandleCounter {
public:
    /// Opens (or makes) sallyport.state, eight bytes in the machine's order, and locks it: one broker per
    /// state directory. Errors: kSystem, kInvalid if the content is not a counter of ours.
    static Result<HandleCounter> open(FdRef state_directory);

    /// Whether no other broker has the lock. Only reads: the file may be on a frozen file system. Errors: kSystem.
    static Result<bool> is_free(FdRef state_directory);

    /// Takes the next number, written down before anybody hears of it. Errors: kSystem.
    Result<std::int64_t> take();

private:
    HandleCounter(UniqueFd file, std::int64_t next) : file_(std::move(file)), next_(next) {}
    UniqueFd file_;
    std::int64_t next_;
};

struct OpenFile {
    UniqueFd fd;
    std::string_view rule;                  // id of the rule that let it be opened
    std::optional<std::uint64_t> max_size;  // neither read nor written beyond this
    std::optional<std::int64_t> expires;    // with its rule
    bool appends = false;
    std::uint64_t opened_by = 0;   // worker number and
    std::uint64_t opened_seq = 0;  // request, in case the host never learns the handle
};

/// Where the worker is. Each operation says in which of these it may come.
enum class Phase : std::uint8_t {
    kGreeting,  // Hello has not come yet
    kIdle,
    kReading,     // a file read, or a long reply, whose parts are under way
    kWriting,     // a file write whose parts are under way
    kWaiting,     // for the guard or the launcher
    kInspecting,  // for the inspector
};

/// A file read or write, or a query of the inspector, that is carried out in parts.
struct Transfer {
    std::uint64_t seq = 0;
    std::int64_t handle = 0;
    std::uint64_t wanted = 0;  // bytes still to be read or written
    std::uint64_t coming = 0;  // write: bytes that the worker has still to hand over
    std::uint64_t done = 0;
    std::size_t next_chunk = 0;
    std::size_t in_flight = 0;  // read: parts that the worker has not used yet
    ipc::Request::CommandCase command = ipc::Request::COMMAND_NOT_SET;  // query: which, and its number
    std::uint64_t query = 0;
    std::int64_t due_ns = 0;
    std::string
        text;  // the encoded reply, as far as it has come; then what is sent in parts instead of a file
    Record record;
};

/// What the launcher is to do, or does, for a request. It goes on if the request's worker ends.
struct Launch {
    std::uint32_t row = 0;
    std::uint64_t worker = 0;  // number of the worker
    std::uint64_t seq = 0;     // of the request
    ipc::Request::CommandCase action = ipc::Request::COMMAND_NOT_SET;
    std::int64_t due_ns = 0;  // until then its line must be on the disk; 0: nobody was asked yet
    bool is_told = false;     // the launcher
};

struct WorkerState {
    std::uint64_t number = 0;
    Phase phase = Phase::kGreeting;
    std::uint64_t last_seq = 0;
    std::uint64_t ended_seq =
        0;  // the last transfer that is over; frames about its parts may still be under way
    std::size_t ended_parts = 0;  // at most so many, and they mean nothing
    CommandSet enabled;           // as Welcome said
    bool knows_frozen = false;    // what it was last told
    Transfer transfer;
};

/// A request that waits for the guard. It is over even if its worker ends before: then nobody is told.
struct Pending {
    std::uint64_t worker = 0;
    std::uint64_t seq = 0;
    CommandId command = CommandId::kFsfreezeFreeze;
    std::uint32_t row = 0;
    bool by_list = false;               // freeze-list: these mount points only
    std::vector<std::string> wanted;    // mount points, sorted
    std::vector<std::uint32_t> chosen;  // and which file systems these are
    ipc::Reply reply;                   // trim: as far as it is known
    Record record;
};

/// What the programs around a freeze are about. What is due, serve() tells the launcher when that is free.
enum class Hooks : std::uint8_t { kNone, kFreezeDue, kFreezing, kFrozen, kThawDue, kThawing };

/// The guard, and what it was asked for.
struct Freezing {
    UniqueFd guard;                   // its socket; not open: no rule lets anything be frozen
    std::vector<std::uint32_t> rows;  // its rows, by rule
    std::optional<guard::FrozenMark> mark;
    std::uint64_t number = 0;        // of the last freeze
    bool thaw_is_ordered = false;    // since that freeze began: it is not ordered any more
    bool is_frozen = false;          // from the order to freeze until the guard has thawed everything
    std::optional<Pending> pending;  // freeze or trim
    std::optional<Pending> thaw;
    Hooks hooks = Hooks::kNone;
    [[nodiscard]] bool hooks_are_running() const {
        return hooks == Hooks::kFreezing || hooks == Hooks::kThawing;
    }
};

struct Session {
    const policy::Policy& policy;
    files::Table table;
    std::string start_directory;
    HandleCounter handles;
    KeptTime kept_time;
    ExpiryClock clock;
    ipc::Arena arena;    // of the present connection; a device's is as old as we are
    UniqueFd inspector;  // its socket; not open if the policy needs none
    std::uint64_t queries = 0;
    ipc::Welcome::Channel channel = ipc::Welcome::STREAM;
    std::map<std::int64_t, OpenFile> files;
    Freezing freezing;
    WorkerState worker;
    std::optional<Launch> launch;
};

/// The id of the rule that decided; empty if none did.
std::string_view rule_id(const policy::Policy& policy, const policy::Decision& decision);

}  // namespace sallyport::broker
