// Runs in:  starter
#include "broker/start/kept_budgets.hpp"

#include <fcntl.h>
#include <poll.h>
#include <sys/file.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>

#include "base/clock.hpp"
#include "base/lock_file.hpp"
#include "broker/guard/mark.hpp"
#include "ipc/kept_budgets.hpp"

namespace sallyport::starter {

namespace {

using Row = ipc::KeptBudgets::Row;

constexpr const char* kName = "sallyport.budgets";
constexpr const char* kNewName = "sallyport.budgets.new";
constexpr int kFlags = O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK;
constexpr int kLockTries = 40;
constexpr int kLockPauseMs = 50;
constexpr std::int64_t kNever = INT64_MAX;

struct File {
    UniqueFd fd;
    bool is_new = false;  // since an earlier agent's recorder may still write to the old one
};

// The recorder inherits the lock. An earlier one that is ending gets some time; it may be waiting for a full disk.
Result<File> open_locked(FdRef state_directory) {
    File file{.fd = UniqueFd(::openat(state_directory.get(), kName, kFlags, 0600))};
    if (!file.fd.is_open()) return system_error(kName);
    TRY(close_to_others(file.fd));
    for (int tries = 0; tries < kLockTries; ++tries) {
        if (::flock(file.fd.get(), LOCK_EX | LOCK_NB) == 0) return file;
        ::poll(nullptr, 0, kLockPauseMs);
    }
    ::unlinkat(state_directory.get(), kNewName, 0);
    file = {.fd = UniqueFd(::openat(state_directory.get(), kNewName, kFlags | O_EXCL, 0600)), .is_new = true};
    if (!file.fd.is_open() || ::flock(file.fd.get(), LOCK_EX | LOCK_NB) != 0) return system_error(kNewName);
    return file;
}

Row row_of(const policy::Policy& policy, const policy::Bucket& bucket) {
    Row row{.of = static_cast<std::uint64_t>(bucket.of),
            .amount = bucket.flow.amount,
            .burst = bucket.flow.burst,
            .per_ns = bucket.flow.per_ns};
    const std::string& id = policy.rules[bucket.rule].id;
    std::ranges::copy_n(id.begin(), static_cast<std::ptrdiff_t>(std::min(id.size(), row.rule.size())),
                        row.rule.begin());
    return row;
}

/// What is there, or nothing if no agent wrote that.
Status read(FdRef file, ipc::KeptBudgets& kept) {
    const ssize_t got = ::pread(file.get(), &kept, sizeof kept, 0);
    if (got < 0) return system_error(kName);
    const bool is_whole = got >= static_cast<ssize_t>(ipc::KeptBudgets().size()) &&
                          kept.count <= kMaxBuckets && got == static_cast<ssize_t>(kept.size());
    if (!is_whole) kept.count = 0;
    return {};
}

// Asks for room first: a write that ends half way leaves nothing of what was there.
Status write(FdRef file, const ipc::KeptBudgets& kept) {
    const auto size = static_cast<ssize_t>(kept.size());
    if (::fallocate(file.get(), FALLOC_FL_KEEP_SIZE, 0, size) != 0 && errno != EOPNOTSUPP)
        return system_error(kName);
    if (::pwrite(file.get(), &kept, kept.size(), 0) != size || ::ftruncate(file.get(), size) != 0 ||
        ::fdatasync(file.get()) != 0)
        return system_error(kName);
    return {};
}

// THREAT: a host fills the disk, so that a start fails when the old file is gone, and the next knows of nothing that was taken. Or it
// has the power fail before the disk knows of the rename: then the old file is there again, which the earlier recorder may have closed
// as final, and gives back what was taken since.
Status replace_old(FdRef state_directory) {
    const int at = state_directory.get();
    if (::renameat(at, kNewName, at, kName) != 0 || ::fsync(at) != 0) return system_error(kName);
    return {};
}

std::int64_t due_of(const Row& row, const policy::Flow& flow, const ipc::KeptBudgets& kept,
                    bool is_same_boot) {
    const auto end = kept.rows.begin() + static_cast<std::ptrdiff_t>(kept.count);
    const auto known = std::find_if(kept.rows.begin(), end,
                                    [&](const Row& one) { return one.rule == row.rule && one.of == row.of; });
    const std::int64_t empty = policy::full_after(flow);
    if (known == end) return empty;
    if (is_same_boot) return std::clamp<std::int64_t>(known->due, 0, awake_ns() + empty);
    if (kept.is_final == 0) return empty;
    // THREAT: a recorder that was taken over has written any two numbers. Of two that are not negative the difference is a number, too.
    const std::int64_t missing =
        std::max<std::int64_t>(known->due, 0) - std::max<std::int64_t>(kept.written, 0);
    return std::clamp<std::int64_t>(missing, 0, empty);
}

bool is_for_want_of_room(const Error& error) {
    return error.sys_errno == ENOSPC || error.sys_errno == EDQUOT;
}

// The recorder gets a file that keeps nothing.
Result<BegunBudgets> without_room(std::size_t buckets, const Error& error) {
    if (!is_for_want_of_room(error)) return std::unexpected(error);
    BegunBudgets begun{.file = UniqueFd(::open("/dev/null", O_RDWR | O_CLOEXEC)),
                       .due = std::vector<std::int64_t>(buckets, kNever),
                       .not_kept = error.sys_errno};
    return begun.file.is_open() ? Result<BegunBudgets>(std::move(begun)) : system_error("/dev/null");
}

}  // namespace

Result<BegunBudgets> begin_budgets(FdRef state_directory, const policy::Policy& policy) {
    const std::vector<policy::Bucket> buckets = policy::buckets(policy);
    BegunBudgets begun;
    if (buckets.empty()) {
        // What an earlier policy left there is not this agent's to keep.
        begun.file = UniqueFd(::openat(state_directory.get(), kName, kFlags | O_TRUNC, 0600));
        return begun.file.is_open() ? Result<BegunBudgets>(std::move(begun)) : system_error(kName);
    }
    auto locked = open_locked(state_directory);
    if (!locked) return without_room(buckets.size(), locked.error());
    File file = *std::move(locked);
    ipc::KeptBudgets kept;
    TRY(read(file.fd, kept));
    const std::string boot = TRY(guard::boot_id());
    ipc::KeptBudgets next;
    std::ranges::copy_n(boot.begin(), static_cast<std::ptrdiff_t>(std::min(boot.size(), next.boot.size())),
                        next.boot.begin());
    for (const policy::Bucket& bucket : buckets) {
        Row& row = next.rows[next.count++];
        row = row_of(policy, bucket);
        row.due = file.is_new ? awake_ns() + policy::full_after(bucket.flow)
                              : due_of(row, bucket.flow, kept, kept.boot == next.boot);
        begun.due.push_back(row.due);
    }
    if (const Status written = write(file.fd, next); !written)
        return without_room(buckets.size(), written.error());
    if (const Status replaced = file.is_new ? replace_old(state_directory) : Status(); !replaced)
        return without_room(buckets.size(), replaced.error());
    begun.file = std::move(file.fd);
    return begun;
}

}  // namespace sallyport::starter
