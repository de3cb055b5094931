// Requests in the words in which others write them: a host's line of JSON, a line of the audit log.
// Runs in:  the policy tool, after lockdown_compiler()
// Input:    text that a host may have chosen
#pragma once

#include <expected>
#include <string>
#include <string_view>

#include "base/unique_fd.hpp"
#include "policy/tool/analyse/request.hpp"

namespace sallyport::policy::cli {

/// What `line`, {"execute": ...}, asks for. Errors: a sentence.
std::expected<analyse::Request, std::string> read_host_line(std::string_view line,
                                                            const analyse::Request& from);

/// A decision as the audit log has it.
struct LoggedDecision {
    analyse::Request request;
    std::string verdict;
    std::string rule;
    std::string reason;
    std::string policy;    // the first digits of its digest
    bool is_exact = true;  // nothing of the request was left out of the log
};

/// The decision with that id, RUN-SEQ, in a log. Errors: a sentence.
std::expected<LoggedDecision, std::string> find_decision(FdRef file, std::string_view id);

}  // namespace sallyport::policy::cli
