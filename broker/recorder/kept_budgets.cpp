// Runs in:  recorder
#include "broker/recorder/kept_budgets.hpp"

#include <unistd.h>

#include <algorithm>
#include <cerrno>

#include "base/clock.hpp"

namespace sallyport::recorder {

Result<KeptBudgets> KeptBudgets::open(UniqueFd file) {
    KeptBudgets budgets(std::move(file));
    if (budgets.look() != 0) return system_error("sallyport.budgets");
    return budgets;
}

int KeptBudgets::look() {
    const ssize_t got = ::pread(file_.get(), kept_.get(), sizeof *kept_, 0);
    if (got < 0) return errno;
    // Without budgets nobody begins the file.
    if (got == 0 || kept_->count > kMaxBuckets) kept_->count = 0;
    is_known_ = true;
    return 0;
}

// Until the file has been read again, no row can be behind, and none is written.
void KeptBudgets::forget() {
    kept_->count = 0;
    is_known_ = false;
}

bool KeptBudgets::are_behind(const ipc::RingWords& words) const {
    for (std::size_t at = 0; at < kept_->count; ++at)
        if (words.due[at] > kept_->rows[at].due) return true;
    return false;
}

int KeptBudgets::keep(const ipc::RingWords& words) {
    if (const int fault = is_known_ ? 0 : look(); fault != 0) return fault;
    if (!are_behind(words) && !is_unwritten_) return 0;
    for (std::size_t at = 0; at < kept_->count; ++at)
        kept_->rows[at].due = std::max<std::int64_t>(kept_->rows[at].due, words.due[at]);
    kept_->written = awake_ns();
    const int fault = write();
    is_unwritten_ = fault != 0;
    return fault;
}

// In this order, so that after a crash of the machine the file is not final without its rows.
void KeptBudgets::close() {
    if (kept_->count == 0) return;
    kept_->written = awake_ns();
    if (write() != 0 || ::fdatasync(file_.get()) != 0) return;
    kept_->is_final = 1;
    if (write() == 0) ::fdatasync(file_.get());
}

int KeptBudgets::write() const {
    const ssize_t put = ::pwrite(file_.get(), kept_.get(), kept_->size(), 0);
    return put == static_cast<ssize_t>(kept_->size()) ? 0 : put < 0 ? errno : ENOSPC;
}

}  // namespace sallyport::recorder
