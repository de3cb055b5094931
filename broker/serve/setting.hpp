// What a host wants set (the clock, processors, memory blocks), while the launcher has it done.
// Runs in:  broker, after lockdown()
// Input:    frames of the launcher, whose setters do it; checked all the same
#pragma once

#include <cstdint>
#include <optional>

#include "broker/serve/request.hpp"
#include "ipc/launcher.pb.h"
#include "policy/set.hpp"

namespace sallyport::broker {

struct Session;

/// It goes on if the request's worker ends.
struct Setting {
    Request request;
    ipc::SetOrder order;
    bool is_told = false;  // the launcher
};

struct Settings {
    policy::SetRules rules;
    std::optional<Setting> under_way;
    std::uint64_t ordered = 0;  // number of the last order
    std::uint64_t ended = 0;    // and of the last whose end the launcher has reported
};

/// What the launcher is to be told, if anything; nothing while it is busy with others' work.
std::optional<ipc::LauncherRequest> next_set_order(Session& session);

/// Ends what the launcher speaks of. Errors: kInvalid: the launcher broke its contract.
Status hear_set(const Context& context, const ipc::SetDone& said);

/// Ends what the launcher has not reported in time. Its report, should it come, goes into the log.
void give_up_setting(const Context& context);

}  // namespace sallyport::broker
