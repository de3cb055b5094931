// The audit log: one JSON line for each decision, each line holding the hash of the one before.
// Runs in:  broker; the only place where it logs once it serves
// Input:    requests of a worker that may have been taken over: every byte of theirs is escaped
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "ipc/result.hpp"
#include "ipc/unique_fd.hpp"

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
    bool has_place = false;  // kept while lines are held, however many others there are: one for each freeze
};

/// CLOCK_BOOTTIME in nanoseconds.
std::int64_t boottime_ns();

class Audit {
public:
    /// Opens (or makes) audit.jsonl in the state directory and goes on with its chain.
    /// `policy_digest` is written, in hexadecimal, into every line. Errors: kSystem.
    static Result<Audit> open(FdRef state_directory, std::string_view policy_digest);

    /// Writes one line to the file and to standard error. What cannot be written is counted, and the count
    /// stands in the next line that can. Returns the first 12 digits of the line's hash: an identity that
    /// tells a host nothing.
    std::string write(const Record& record);

    /// While file systems are frozen: keeps the next lines, kMaxHeldRecords at most and those that have a place, until release() writes them. The file
    /// and standard error may lie on a frozen disk, and whoever writes there waits.
    void hold() { is_holding_ = true; }
    void release();

private:
    using Hash = std::array<char, 64>;  // hexadecimal
    Audit() = default;
    Status resume_chain();
    JsonLine compose(const Record& record);
    std::string put(JsonLine line);
    static void put_on_stderr(std::string_view line);

    UniqueFd file_;
    Hash previous_{};
    std::string policy_;
    std::string run_;
    std::uint64_t sequence_ = 0;
    std::uint64_t lost_ = 0;
    bool is_torn_ = false;  // the file ends in a part of a line
    bool is_holding_ = false;
    std::vector<JsonLine> held_;
};

}  // namespace sallyport::broker
