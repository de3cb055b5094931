#include "tests/freeze/freezing.hpp"

#include <algorithm>
#include <boost/json/parse.hpp>

namespace sallyport::test {

namespace {

std::int64_t count_of(const std::string& reply) {
    return result_of(reply).to_number<std::int64_t>();
}

}  // namespace

std::string freeze_policy(const std::string& freeze) {
    return "schema = 1\n[[allow]]\nid = \"backup\"\ncommands = [\"@freeze\"]\nfreeze = { " + freeze + " }\n";
}

std::string ask(HostClient& host, std::string_view name, std::string_view arguments) {
    return host.ask(command(name, arguments), milliseconds(30'000));
}

std::int64_t freeze(HostClient& host) {
    return count_of(ask(host, "guest-fsfreeze-freeze"));
}

std::int64_t thaw(HostClient& host) {
    return count_of(ask(host, "guest-fsfreeze-thaw"));
}

std::string status(HostClient& host) {
    return std::string(result_of(ask(host, "guest-fsfreeze-status")).as_string());
}

pid_t guard_of(Agent& agent) {
    for (const pid_t child : children_of(agent.broker().pid()))
        if (name_of(child) == "sallyport-guard") return child;
    return -1;
}

std::vector<pid_t> family_of(Agent& agent) {
    auto children = children_of(guard_of(agent));
    std::ranges::sort(children);
    return children;
}

std::vector<std::unique_ptr<LoopFs>> make_systems(std::size_t count, const std::string& type) {
    std::vector<std::unique_ptr<LoopFs>> systems;
    for (std::size_t at = 0; at < count; ++at)
        systems.push_back(
            std::make_unique<LoopFs>(LoopFs::Wanted{.type = type,
                                                    .name = "fs" + std::to_string(at),
                                                    .size = type == "ext4" ? 16UL << 20U : 512UL << 20U}));
    return systems;
}

bool all_are_writable(const std::vector<std::unique_ptr<LoopFs>>& systems, milliseconds patience) {
    const Deadline deadline(patience);
    return std::ranges::all_of(systems, [&](const auto& system) {
        return is_writable(system->point(), milliseconds(std::max(1, deadline.left_ms())));
    });
}

}  // namespace sallyport::test
