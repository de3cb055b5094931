// What a host wants set: for each order a process of its own, the setter; and in the launcher what starts and ends it.
// Runs in:  launcher; setter
// Input:    orders of a broker that may have been taken over; results of setters
// Relies on: policy/set.cpp for what may be set
#pragma once

#include <poll.h>

#include <optional>
#include <string_view>
#include <vector>

#include "base/clock.hpp"
#include "base/result.hpp"
#include "base/unique_fd.hpp"
#include "ipc/launcher.pb.h"

namespace sallyport::setters {

/// The word by which the launcher's executable becomes a setter.
inline constexpr std::string_view kWord = "set";

/// The launcher's end: which orders are carried out, and by whom.
class Setters {
public:
    Setters(const ipc::LauncherTable& table, const ExpiryClock& clock);

    /// Decides, and starts a setter. The end, if it is over at once.
    ///
    /// THREAT: a broker that was taken over asks for what its policy does not let it. It is judged here once more, by our copy of
    /// the rules and our reading of the clocks. Errors: kInvalid: no honest broker says that.
    Result<std::optional<ipc::SetDone>> hear(const ipc::SetOrder& order);
    /// Adds the setters to those that are waited for. So many milliseconds at most; -1: for ever.
    int add_to(std::vector<pollfd>& wanted) const;
    /// Takes the results of those that are ready, and ends those whose time is up. The orders that are over.
    std::vector<ipc::SetDone> look(const std::vector<pollfd>& ready);

private:
    struct Setter {
        ipc::SetOrder order;
        ipc::SetDone done;  // as far as it has come
        UniqueFd socket;    // not open: it has ended
        UniqueFd process;
        std::int64_t due_ns = 0;
        bool is_told = false;  // its end. What still comes is nobody's
        bool is_done = false;  // it has said what became of all, and sets nothing more
    };
    /// Whether an earlier setter has to end before.
    [[nodiscard]] bool is_held_up(const ipc::SetOrder& order) const;
    Status start(const ipc::SetTask& task);
    static bool take_results(Setter& setter);

    const ipc::LauncherTable& table_;
    const ExpiryClock& clock_;
    UniqueFd own_;  // executable
    std::uint64_t last_ = 0;
    std::vector<Setter> setters_;
};

/// A setter: does what the launcher has said on its socket, and says there what has become of it. Its exit status.
int run();

// What it does.

ipc::SetResult result_of(ipc::SetResult::How how, int sys_errno = 0);

/// The hardware clock, opened before the lockdown; or why not.
struct HardwareClock {
    UniqueFd device;
    int sys_errno = 0;
};
HardwareClock open_hardware_clock();
ipc::SetResult set_clock(const ipc::SetTask& task, const HardwareClock& hardware);

inline constexpr const char* kProcessors = "/sys/devices/system/cpu";
inline constexpr const char* kMemory = "/sys/devices/system/memory";
ipc::SetResult set_processor(const ipc::SetOrder::Processor& want, const ipc::SetRule::Processors& by);
ipc::SetResult set_block(const ipc::SetOrder::Block& want);

}  // namespace sallyport::setters
