// The broker's end of the conversation with the launcher, which starts the programs that the policy makes necessary.
// Runs in:  broker
// Input:    frames of the launcher, which starts programs but believes nothing they write; checked all the same
#pragma once

#include <optional>

#include "broker/serve/session.hpp"
#include "ipc/launcher.pb.h"

namespace sallyport::broker {

/// How a request for a shutdown or a suspend is carried out: the launcher's row for the action, by one method or any.
std::uint32_t power_row(ipc::Request::CommandCase action, policy::Mode mode, policy::Method method);

/// The rows that the allow rules of the policy make necessary. Without any, no launcher is started.
ipc::LauncherTable power_rows(const policy::Policy& policy);

/// The method of the row's attempt that is so numbered; kAny if there is none.
policy::Method method_of(std::uint32_t row, std::uint32_t attempt);

/// Errors: kClosed, kLimit (it has not read the last), kSystem.
Status tell_launcher(FdRef launcher, const google::protobuf::MessageLite& message);

/// What the launcher has to say, if anything. Errors: kClosed (it is gone), kInvalid (it is not what we started),
/// kSystem.
Result<std::optional<ipc::LauncherReply>> hear_launcher(FdRef launcher);

}  // namespace sallyport::broker
