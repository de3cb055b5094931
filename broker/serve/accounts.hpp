// What hosts want done to passwords and keys of users: what the launcher is told of it, and what it says.
// Runs in:  broker, after lockdown()
// Input:    frames of the launcher, whose children read what users have in their home directories; checked all the same
#pragma once

#include <cstdint>
#include <optional>

#include "broker/serve/request.hpp"
#include "ipc/launcher.pb.h"
#include "policy/accounts.hpp"

namespace sallyport::broker {

struct Session;

/// What is under way. It goes on if the request's worker ends.
struct AccountWork {
    Request request;
    std::uint64_t number = 0;
    ipc::LauncherRequest order = {};  // with its secret, until the launcher is told
    bool is_told = false;
};

struct Accounts {
    policy::AccountTemplates templates;
    std::uint64_t last = 0;  // number of an order
    std::optional<AccountWork> work;
};

/// What the launcher is to be told next, if anything; nothing while it is busy with others' work.
std::optional<ipc::LauncherRequest> next_account_order(Session& session);
/// Wipes the order's secret, if it has one.
void forget_order(ipc::LauncherRequest& order);

/// Ends the request that waits for that. Errors: kInvalid: the launcher broke its contract.
Status hear_account(const Context& context, const ipc::AccountDone& done);

/// Ends the request whose turn did not come, or of which the launcher says nothing.
void give_up_account(const Context& context);

}  // namespace sallyport::broker
