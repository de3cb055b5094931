// A guest to look at: this test process and all that it starts, in network and mount namespaces of their own.
#pragma once

#include <boost/json/value.hpp>
#include <string>
#include <string_view>

#include "tests/support/agent.hpp"

namespace sallyport::test {

/// Once, before anything is started: the machine's own network, mounts and host name are out of reach from then on.
void enter_own_guest();

/// Runs a shell script; throws if it fails.
void shell(const std::string& script);

/// A policy that allows what looks, and nothing else.
inline constexpr std::string_view kLook = "schema = 1\n[[allow]]\nid = \"look\"\ncommands = [\"@inspect\"]\n";

/// The `return` of a command without arguments; throws, naming the reply, if it has none.
boost::json::value look(HostClient& host, std::string_view command);
/// The same for one that gives a list.
boost::json::array look_list(HostClient& host, std::string_view command);

/// The element of a list whose member has that text; throws if there is none.
const boost::json::object& element(const boost::json::value& list, std::string_view member,
                                   std::string_view text);

/// The inspector of an agent that serves; throws if it has none.
pid_t inspector_of(Agent& agent);

}  // namespace sallyport::test
