// Runs in:  recorder
#include "broker/recorder/kept_budgets.hpp"

#include <unistd.h>

#include <algorithm>
#include <cerrno>

#include "base/clock.hpp"

namespace sallyport::recorder {

Result<KeptBudgets> KeptBudgets::open(UniqueFd file) {
    KeptBudgets budgets(std::move(file));
    const ssize_t got = ::pread(budgets.file_.get(), budgets.kept_.get(), sizeof *budgets.kept_, 0);
    if (got < 0) return system_error("sallyport.budgets");
    // Without budgets nobody begins the file.
    if (got == 0 || budgets.kept_->count > kMaxBuckets) budgets.kept_->count = 0;
    return budgets;
}

bool KeptBudgets::are_behind(const ipc::RingWords& words) const {
    for (std::size_t at = 0; at < kept_->count; ++at)
        if (words.due[at] > kept_->rows[at].due) return true;
    return false;
}

int KeptBudgets::keep(const ipc::RingWords& words) {
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
