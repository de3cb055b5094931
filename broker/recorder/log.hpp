// The audit log on disk: the chain of its lines, and its files one after the other.
// Runs in:  recorder
// Input:    lines of the broker, which may have been taken over: each must be one object of printable ASCII
// Relies on: libmd for SHA-256
//
// INVARIANT: only this appends to the files, and nothing here changes what is in one.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "base/result.hpp"
#include "base/unique_fd.hpp"
#include "ipc/limits.hpp"
#include "ipc/ring.hpp"

namespace sallyport::recorder {

/// Hexadecimal digits of SHA-256.
using Hash = std::array<char, 64>;

struct Rotation {
    std::uint64_t max_size = kDefaultLogSize;  // of a file
    std::uint32_t keep = kDefaultLogKeep;      // files besides the one being written; at least 1
};

/// Where the chain stands, in memory that both processes of the recorder share: each may be killed at any moment, and the
/// other goes on from here.
struct Chain {
    Hash previous;        // of the last line in the file
    std::uint64_t taken;  // in the ring, everything before it is in the file
    bool is_torn;         // the file ends in a part of a line, from a crash of the machine
    std::uint64_t inode;  // of the file
    bool is_ours;         // the lock is held, and what stands above is known

    // The batch under way: what follows is one more write, begun anew or finished by whoever goes on.
    std::atomic<std::size_t> size;  // of `text`; 0: there is none
    std::size_t done;               // so much of it is in the file
    std::uint64_t start;            // where it begins in the file
    Hash next_previous;             // these two take the place of the others when it is done
    std::uint64_t next_taken;
    std::array<char, kLogBatch> text;
};

class Log {
public:
    /// Opens (or makes) audit.jsonl in `directory`, alone, and goes on with its chain; where it is empty, with that of
    /// audit.jsonl.1. If another recorder is still at work after two seconds, the log is not ours yet, and write_some() tries
    /// again. Errors: kSystem, kInvalid if it is not a regular file.
    static Result<Log> open(FdRef directory, Rotation rotation);
    [[nodiscard]] bool is_ours() const { return chain_->is_ours; }

    /// Puts the next lines of the ring into the file; false if there are none. If the file was removed, into a new one, whose first
    /// line says so. Errors: kInvalid for a line that is none; kSystem if the disk does not take them, and kLimit while the log is
    /// another recorder's, which can be tried again.
    Result<bool> write_some(const ipc::Ring& ring);
    [[nodiscard]] bool is_complete(const ipc::Ring& ring) const;

    /// Goes on in a new file if somebody has renamed or removed this one. Errors: kSystem.
    Status reopen();

    /// Goes on where another process was killed. Errors: kSystem.
    Status take_over();

    /// Waits until what is in the file is on the disk. By name, since another process writes it. Errors: kSystem.
    [[nodiscard]] Status sync() const;

private:
    struct Unmap {
        void operator()(Chain* chain) const;
    };
    Result<bool> acquire();
    Status open_file();
    Status resume_chain();
    Status measure();
    [[nodiscard]] std::uint32_t free_number() const;
    Status rotate();
    Status close_file();
    Status replace_removed();
    Status write_own(std::string_view object);
    Status write_out();
    void begin(std::size_t size, const Hash& previous, std::uint64_t taken);
    Result<bool> compose(const ipc::Ring& ring);

    UniqueFd directory_;
    UniqueFd lock_;  // held by both processes: one recorder per directory
    UniqueFd file_;
    Rotation rotation_;
    std::uint64_t file_size_ = 0;
    bool is_removed_ = false;  // the file has no name any more
    bool is_closed_ = false;   // the file has its last line
    std::unique_ptr<Chain, Unmap> chain_;
};

/// The line that stands in the log for `object`: with the hash of the line before it, which becomes its own.
std::string chained(std::string_view object, Hash& previous);

/// Of a line without its LF.
Hash hash_of(std::string_view line);

}  // namespace sallyport::recorder
