// The audit log on disk: its chain of lines and its sequence of files.
// Runs in:  recorder
// Input:    lines of a broker that may have been taken over; each must be one object of printable ASCII
// Relies on: libmd for SHA-256
//
// INVARIANT: only this file's code appends to the log, and nothing here changes what was written.
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

/// SHA-256 in hexadecimal digits.
using Hash = std::array<char, 64>;

struct Rotation {
    std::uint64_t max_size = kDefaultLogSize;  // of one file
    std::uint32_t keep = kDefaultLogKeep;      // files besides the current one; at least 1
};

/// The state of the chain, in memory that both processes of the recorder share. Either can be killed at any moment; the other
/// continues from here.
struct Chain {
    Hash previous;        // of the last line in the file
    std::uint64_t taken;  // everything in the ring before it is in the file
    bool is_torn;         // the file ends in a partial line, after a crash of the machine
    std::uint64_t inode;  // of the file
    bool is_ours;         // the lock is held, and the members above are valid

    // The batch under way: a single write, which is finished or redone by the process that goes on.
    std::atomic<std::size_t> size;  // of `text`; 0: no batch
    std::size_t done;               // bytes of it that are in the file
    std::uint64_t start;            // offset in the file
    Hash next_previous;             // these two replace the members above when the batch is done
    std::uint64_t next_taken;
    std::array<char, kLogBatch> text;
};

class Log {
public:
    /// Opens or creates audit.jsonl in `directory`, locked, and continues its chain, or that of audit.jsonl.1 if it is empty. If
    /// another recorder still holds the lock after two seconds, is_ours() stays false and write_some() tries again. Errors:
    /// kSystem, kInvalid if it is not a regular file.
    static Result<Log> open(FdRef directory, Rotation rotation);
    [[nodiscard]] bool is_ours() const { return chain_->is_ours; }

    /// Appends the next lines of the ring to the file; false if there are none. If the file was removed, a new one is made, whose
    /// first line says so. Errors: kInvalid for a line that is not an object; kSystem if the disk fails, and kLimit while another
    /// recorder holds the log, both of which can be retried.
    Result<bool> write_some(const ipc::Ring& ring);
    [[nodiscard]] bool is_complete(const ipc::Ring& ring) const;

    /// Continues in a new file if somebody renamed or removed this one. Errors: kSystem.
    Status reopen();

    /// Continues where the other process was killed. Errors: kSystem.
    Status take_over();

    /// Syncs the file to the disk. It is opened by name, since the other process writes it. Errors: kSystem.
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
    bool is_closed_ = false;   // the file has its closing line
    std::unique_ptr<Chain, Unmap> chain_;
};

/// `object` with the hash of the previous line added; `previous` becomes the hash of the result.
std::string chained(std::string_view object, Hash& previous);

/// Of a line without its LF.
Hash hash_of(std::string_view line);

}  // namespace sallyport::recorder
