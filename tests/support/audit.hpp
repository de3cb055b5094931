// Reading the audit log.
#pragma once

#include <sys/types.h>

#include <boost/json/object.hpp>
#include <string>
#include <string_view>
#include <vector>

namespace sallyport::test {

/// Both processes of the recorder that keeps the log in `state_directory`.
std::vector<pid_t> recorders_of(const std::string& state_directory);
/// The one of them that writes, and the other; waits for it, -1 if there is none.
pid_t writer_of(const std::string& state_directory);
pid_t keeper_of(const std::string& state_directory);
/// Waits until the recorder, if there is one, has nothing more to write.
void settle_log(const std::string& state_directory);

/// The lines of an audit file, without LF. A file that is not there has none.
std::vector<std::string> audit_lines(const std::string& file);
/// The same, parsed; throws if a line is no JSON object.
std::vector<boost::json::object> audit_records(const std::string& file);
/// A member's text, or its JSON form if it is no string; empty if there is none.
std::string text_of(const boost::json::object& record, std::string_view member);
/// SHA-256 of a line in hexadecimal.
std::string hash_of_line(const std::string& line);
/// The number of the first line whose "prev" is not the SHA-256 of the line before, or -1 if the chain holds.
int first_broken_link(const std::vector<std::string>& lines);

}  // namespace sallyport::test
