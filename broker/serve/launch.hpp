// The broker's end of the conversation with the launcher, which starts the programs that the policy makes necessary.
// Runs in:  broker
// Input:    frames of the launcher, which starts programs but parses nothing they write; checked nevertheless
#pragma once

#include <optional>

#include "broker/serve/session.hpp"
#include "ipc/launcher.pb.h"

namespace sallyport::broker {

/// How a request for a shutdown or a suspend is carried out: the launcher's row for the action, by one method or any.
std::uint32_t power_row(ipc::Request::CommandCase action, policy::Mode mode, policy::Method method);

/// Returns the rows that the policy's allow rules need. Without any, no launcher is started.
ipc::LauncherTable power_rows(const policy::Policy& policy);

/// Returns the method of the row's attempt with this number, or kAny if there is none.
policy::Method method_of(std::uint32_t row, std::uint32_t attempt);

/// Errors: kClosed, kLimit (the launcher has not read the previous order), kSystem.
Status tell_launcher(FdRef launcher, const google::protobuf::MessageLite& message);

/// Returns the launcher's next frame, if there is one. Errors: kClosed (it is gone), kInvalid (it broke its contract), kSystem.
Result<std::optional<ipc::LauncherReply>> hear_launcher(FdRef launcher);

}  // namespace sallyport::broker
