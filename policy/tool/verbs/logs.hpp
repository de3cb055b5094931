// Audit logs for a verb: everything is opened, with the policies and whatever else it needs, then the process locks itself down,
// then it reads.
// Runs in:  the policy tool
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "policy/tool/log/logs.hpp"
#include "policy/tool/verbs/policies.hpp"

namespace sallyport::policy::cli {

/// The name of standard input among files.
inline constexpr std::string_view kStandardInput = "-";

struct OpenLogs {
    Files files;  // the policies
    log::Logs logs;
};

/// Complains and gives nothing if one of them cannot be opened, or a policy is wrong.
std::optional<OpenLogs> open_logs(const std::vector<std::string>& logs,
                                  const std::vector<std::string>& policies = {});

/// What could not be read, on standard error. Whether everything was a record or could be passed over.
bool tell_reading(const log::Reading& reading);

}  // namespace sallyport::policy::cli
