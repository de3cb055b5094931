// The broker's part of the audit log: composes the line of each decision and hands it to the recorder, which writes it.
// Runs in:  broker; the only place where it logs once it serves
// Input:    requests of a worker that may have been taken over: every byte of theirs is escaped
//
// INVARIANT: nothing here waits, and nothing here can change a line that was handed over and written.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/clock.hpp"
#include "base/result.hpp"
#include "base/unique_fd.hpp"
#include "broker/serve/audit_rates.hpp"
#include "ipc/ring.hpp"
#include "policy/decide.hpp"

namespace sallyport::broker {

/// One JSON object being written: members in order, escaped so that the line is ASCII and shows every byte.
class JsonLine {
public:
    void add(std::string_view name, std::string_view value);
    void add(std::string_view name, std::int64_t value);
    void add(std::string_view name, const JsonLine& object);
    [[nodiscard]] bool is_empty() const { return members_.empty(); }
    [[nodiscard]] std::string text() const { return "{" + members_ + "}"; }

private:
    void key(std::string_view name);
    std::string members_;
};

/// What became of a request.
enum class Verdict : std::uint8_t {
    kAllowed,    // carried out
    kRefused,    // by policy
    kFailed,     // allowed, but the operation failed
    kViolation,  // the worker broke the contract and was ended
    kDropped,    // the host had given up before the reply came
    kNote,       // not a request: start, stop, a worker's end
};

struct Record {
    Verdict verdict = Verdict::kNote;
    std::string_view what;      // command or event
    std::uint64_t session = 0;  // worker number
    JsonLine arguments;
    std::string_view rule;    // id of the rule that decided, if one did
    std::string_view reason;  // a literal
    int sys_errno = 0;
    std::optional<std::uint64_t> bytes;
    std::int64_t started_ns = 0;  // CLOCK_BOOTTIME at the request's arrival; 0: no duration
    bool has_place = false;       // in memory, however many others wait: one for each freeze
};

class Audit {
public:
    /// `recorder` is its socket; `policy` has a digest, which is in every line, and what of the log is up to the admin.
    /// Errors: kSystem.
    static Result<Audit> open(ipc::Ring ring, UniqueFd recorder, const policy::Policy& policy);

    /// Hands one line over, and gives it to standard error too if the admin reads that sort of thing there. What finds no room
    /// is counted, and the count stands in the next line that does; so do events that come more often than their rate.
    /// Returns the line's identity, which a host may be told: run and number. Empty if there is no line.
    std::string write(const Record& record);

    /// At the end: a line for what was counted and stands in none.
    void write_counts();

    /// Whether what is decided now will be in the log: the recorder takes lines, or is not to while file systems are frozen,
    /// and there is room. Always, if the policy says that a loss changes nothing.
    [[nodiscard]] bool is_recording();
    [[nodiscard]] bool goes_on() const { return terms_.goes_on; }

    /// While file systems are frozen: the recorder touches no disk, and lines for standard error are kept, kMaxHeldLines at
    /// most, since whoever writes there waits if it is a file of a frozen disk.
    void hold();
    void release();
    /// The recorder goes on, since the log is not on what is still frozen; standard error, too, unless it is a file.
    void go_on();

    /// Has all that was handed over brought to the disk, and whether that is so. The recorder says when it may have become so.
    void want_sync();
    [[nodiscard]] bool is_synced() const;

    /// Has the recorder look whether the log was renamed, and go on in a new file.
    void reopen();

    /// Has the recorder keep the latest time in the state directory, about once a minute. The error number of the last time that
    /// it could not, once; else 0.
    int keep_time(policy::WallTime now);

    /// The recorder's socket, and what comes from there. Errors: kClosed when the recorder is gone.
    [[nodiscard]] FdRef recorder() const { return recorder_; }
    Status hear();

private:
    enum class Length : std::uint8_t { kWhole, kShort };
    Audit(ipc::Ring ring, UniqueFd recorder) : ring_(std::move(ring)), recorder_(std::move(recorder)) {}
    [[nodiscard]] std::string compose(const Record& record, std::int64_t now_ns, Length length) const;
    [[nodiscard]] bool goes_to_journal(const Record& record, const Places& places) const;
    void put_in_journal(std::string line);
    void release_log();
    void release_journal();
    void note_progress();
    void wake_recorder();

    ipc::Ring ring_;
    UniqueFd recorder_;
    policy::AuditTerms terms_;
    AuditRates rates_;
    std::string policy_;
    std::string run_;
    std::uint64_t sequence_ = 0;
    std::uint64_t lost_ = 0;
    std::uint64_t seen_taken_ = 0;  // as the recorder last said, and
    std::int64_t progress_ns_ = 0;  // CLOCK_MONOTONIC when that changed, or when nothing waited
    policy::WallTime kept_time_ = 0;
    bool is_holding_ = false;
    bool journal_is_file_ = false;
    bool journal_waits_ = false;
    std::vector<std::string> held_;  // for standard error
};

}  // namespace sallyport::broker
