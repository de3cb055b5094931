#include "tests/e2e/guest.hpp"
#include "tests/support/process.hpp"

#include <sched.h>
#include <sys/mount.h>
#include <unistd.h>

#include <stdexcept>

namespace sallyport::test {

void enter_own_guest() {
    if (::unshare(CLONE_NEWNET | CLONE_NEWNS | CLONE_NEWUTS) != 0) throw std::runtime_error("unshare");
    if (::mount(nullptr, "/", nullptr, MS_REC | MS_PRIVATE, nullptr) != 0) throw std::runtime_error("mount");
    if (::sethostname("guest-of-test", 13) != 0) throw std::runtime_error("sethostname");
}

void shell(const std::string& script) {
    const Finished finished = run({.words = {"/bin/sh", "-euc", script},
                                   .environment = {"PATH=/usr/sbin:/usr/bin:/sbin:/bin"},
                                   .output = {}},
                                  milliseconds(60'000));
    if (finished.ending != 0) throw std::runtime_error(script + ": " + finished.error);
}

boost::json::value look(HostClient& host, std::string_view name) {
    return result_of(host.ask(command(name)));
}

boost::json::array look_list(HostClient& host, std::string_view name) {
    return look(host, name).as_array();
}

const boost::json::object& element(const boost::json::value& list, std::string_view member,
                                   std::string_view text) {
    for (const auto& one : list.as_array())
        if (const auto* found = one.as_object().if_contains(member);
            found != nullptr && found->as_string() == text)
            return one.as_object();
    throw std::runtime_error("no " + std::string(member) + " " + std::string(text));
}

pid_t inspector_of(Agent& agent) {
    if (agent.is_serving())
        for (const pid_t child : children_of(agent.broker().pid()))
            if (name_of(child) == "sallyport-inspector") return child;
    throw std::runtime_error("no inspector");
}

}  // namespace sallyport::test
