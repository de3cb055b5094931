// What hosts want done to passwords and keys of users: decided here once more, and done by a child each, which may be given up.
// Runs in:  launcher
// Input:    orders of a broker that may have been taken over; frames of the children
// Relies on: policy/accounts.cpp
#pragma once

#include <poll.h>

#include <vector>

#include "base/clock.hpp"
#include "base/result.hpp"
#include "base/unique_fd.hpp"
#include "ipc/launcher.pb.h"

namespace sallyport::accounts {

class Errands {
public:
    /// `clock` says when rules expire; `broker` is the socket that the replies go to.
    Errands(const ipc::LauncherTable& table, const ExpiryClock& clock, FdRef broker);

    /// Has a child do it. The secret of the order is wiped, and that child never has it in its memory.
    ///
    /// THREAT: a broker that was taken over asks for another user, another command or another key than its policy lets it.
    /// policy::match_account() judges our copy of the template here. Errors: kInvalid: no honest broker says that.
    Status start(ipc::AccountOrder& order);
    /// The children, to be waited for.
    void add_to(std::vector<pollfd>& wanted) const;
    /// How long at most, in milliseconds; -1: for ever.
    [[nodiscard]] int patience() const;
    /// Passes on what those say that are ready, and gives up those that are late. Errors: those of ipc::send().
    Status hear(const std::vector<pollfd>& ready);

private:
    struct Errand {
        std::uint64_t number = 0;
        UniqueFd report;   // the child's end is open as long as it lives
        UniqueFd process;  // to be killed by
        std::int64_t end_ms = 0;
        bool is_told = false;  // how it ended; it may be beyond killing, in the kernel
    };
    Status begin(const ipc::AccountTemplate& by, const ipc::AccountOrder& order, UniqueFd secret);
    Status hear_one(Errand& errand);
    Status end_late(Errand& errand);
    Status tell(ipc::AccountDone done);

    const ipc::LauncherTable& table_;
    FdRef broker_;
    const ExpiryClock& clock_;
    std::uint64_t last_ = 0;
    std::vector<Errand> errands_;
};

}  // namespace sallyport::accounts
