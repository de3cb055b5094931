// The broker's part of the audit log: composes the line of each decision and hands it to the recorder, which writes it.
// Runs in:  broker; the only place where it logs once it serves
// Input:    requests of a worker that may have been taken over; each of their bytes is escaped
//
// INVARIANT: nothing here waits, and nothing here can change a line that has been handed over and written.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
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

/// Builds one JSON object, members in order. Escaping makes it ASCII and shows every byte.
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

/// The outcome of a request.
enum class Verdict : std::uint8_t {
    kAllowed,    // carried out
    kRefused,    // by policy
    kFailed,     // allowed, but the operation failed
    kViolation,  // the worker broke the contract and was ended
    kDropped,    // the host had given up before the reply came
    kNote,       // not a request: start, stop, a worker's end
};

/// What the rules that dry-run would have made of a request.
enum class Would : std::uint8_t { kSame, kAllow, kRefuse };

struct Record {
    Verdict verdict = Verdict::kNote;
    std::string_view what;      // command or event
    std::uint64_t session = 0;  // worker number
    JsonLine arguments;
    std::string_view rule;  // id of the rule that decided, if one did
    Would would = Would::kSame;
    std::string_view would_rule;  // id of the rule by which it would
    std::string_view reason;      // a literal
    int sys_errno = 0;
    std::optional<std::uint64_t> bytes;
    std::int64_t started_ns = 0;    // CLOCK_BOOTTIME when the request came; 0: no duration
    bool may_have_changed = false;  // somebody was told to change something: it has its line, however it ends
    bool has_place = false;         // kept in memory however many others wait: one per freeze
};

class Audit {
public:
    /// `recorder` is the socket to it. From `policy` come the digest, which each line has, and the admin's settings for the log.
    /// Errors: kSystem.
    static Result<Audit> open(ipc::Ring ring, UniqueFd recorder, const policy::Policy& policy);

    /// Hands one line over, and also writes it to standard error if the admin wants such lines there. A line that finds no room
    /// is counted, and the next line that does has the count; so are events beyond their rate. Returns the line's identity (run
    /// and number), which a host may be told. Empty if there is no line.
    std::string write(const Record& record);

    /// At the end: a line for what was counted and stands in none.
    void write_counts();

    /// Whether a decision made now will be in the log: there is room, and the recorder takes lines, or is held while file systems
    /// are frozen. Always true if the policy accepts loss.
    [[nodiscard]] bool is_recording();
    [[nodiscard]] bool goes_on() const { return terms_.goes_on; }

    /// While file systems are frozen, the recorder touches no disk. Lines for standard error are kept, kMaxHeldLines at most: if
    /// it is a file on a frozen disk, a write would wait.
    void hold();
    void release();
    /// The log is not on what is still frozen, so the recorder goes on, and standard error too unless it is a file.
    void go_on();

    /// Asks for a sync of all lines handed over; is_synced() says whether it is done. The recorder sends a frame when that may
    /// have changed.
    void want_sync();
    [[nodiscard]] bool is_synced() const;

    /// Has the recorder check whether the log was renamed, and then continue in a new file.
    void reopen();

    /// Has the recorder store the latest time in the state directory, about once a minute. Returns the errno of the last failure
    /// to store it, once; else 0.
    int keep_time(policy::WallTime now);

    /// Has the recorder keep when a bucket of a budget is full. It finds that in the ring even if we are killed now.
    void keep_due(std::size_t bucket, std::int64_t due);

    /// The recorder's socket, and its frames. Errors: kClosed when the recorder is gone.
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
    std::map<std::string, std::string, std::less<>> places_;  // FILE:LINE of each rule, by its id
    std::string policy_;
    std::string run_;
    std::uint64_t sequence_ = 0;
    std::uint64_t lost_ = 0;
    std::uint64_t seen_taken_ = 0;  // RingWords::taken, when last looked at
    std::int64_t progress_ns_ = 0;  // CLOCK_MONOTONIC when that changed, or when nothing was waiting
    policy::WallTime kept_time_ = 0;
    bool is_holding_ = false;
    bool journal_is_file_ = false;
    bool journal_waits_ = false;
    std::vector<std::string> held_;  // lines for standard error
};

}  // namespace sallyport::broker
