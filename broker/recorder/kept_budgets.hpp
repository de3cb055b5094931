// What is taken of budgets, kept in the state directory for the next start.
// Runs in:  recorder
// Input:    times from a broker that may have been taken over
#pragma once

#include <memory>

#include "base/result.hpp"
#include "base/unique_fd.hpp"
#include "ipc/kept_budgets.hpp"
#include "ipc/ring.hpp"

namespace sallyport::recorder {

/// THREAT: a broker that was taken over gives a budget back. INVARIANT: the time at which a bucket is full only grows, and of the file
/// nothing else is the broker's to say.
class KeptBudgets {
public:
    /// A file that the starter has begun. Errors: kSystem, kInvalid.
    static Result<KeptBudgets> open(UniqueFd file);

    /// Whether the broker has taken something that is not in the file yet.
    [[nodiscard]] bool are_behind(const ipc::RingWords& words) const;
    /// Writes what was taken. Returns an errno, or 0.
    int keep(const ipc::RingWords& words);
    /// Another process may have written the file. Nothing more is kept until it has been read again.
    void forget();
    /// The broker is gone, and everything is written: only that lets a later boot go on from here. If this fails, each bucket is
    /// empty when the guest boots again.
    void close();

private:
    explicit KeptBudgets(UniqueFd file) : file_(std::move(file)) {}
    int look();
    [[nodiscard]] int write() const;

    UniqueFd file_;
    // On the heap: where it is moved, g++ 12 (-ftrivial-auto-var-init=zero) clears all of a rule's id but its first letter.
    std::unique_ptr<ipc::KeptBudgets> kept_ = std::make_unique<ipc::KeptBudgets>();
    bool is_known_ = false;      // `kept_` is what the file holds
    bool is_unwritten_ = false;  // the last write failed
};

}  // namespace sallyport::recorder
