// What the admin wrote down, read for the broker by the policy tool.
// Runs in:  broker, before lockdown()
// Input:    the admin's files; their owners and modes are checked on the opened descriptors
#include "broker/configure.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <cstdlib>

#include "broker/spawn.hpp"
#include "ipc/limits.hpp"

namespace sallyport::broker {

namespace {

constexpr std::array kToolPlaces{"../bin/sallyport-policy", "../policy/cli/sallyport-policy"};
constexpr const char* kDefaultConfig = "/etc/qemu/qemu-ga.conf";

// THREAT: a local user who can write the policy, the configuration or the state directory decides what the
// host may do.
Status check_owner(FdRef file, const char* what) {
    struct stat info{};
    if (::fstat(file.get(), &info) != 0) return system_error("fstat");
    if ((info.st_uid != 0 && info.st_uid != ::geteuid()) || (info.st_mode & (S_IWGRP | S_IWOTH)) != 0)
        return failure(Errc::kProof, what);
    return {};
}

Result<std::string> ask_tool(std::vector<std::string> arguments, std::vector<FdRef> descriptors) {
    const auto tool = open_helper(kToolPlaces);
    if (!tool) return std::unexpected(tool.error());
    return run_tool({.executable = *tool,
                     .arguments = std::move(arguments),
                     .descriptors = std::move(descriptors),
                     .user = plain_user(),
                     .limit = kMaxCompiledSize,
                     .deadline_ms = kCompileDeadlineMs});
}

}  // namespace

Result<UniqueFd> open_checked(const std::string& path, int flags, const char* what) {
    UniqueFd file(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NOCTTY | flags));
    if (!file.is_open()) return system_error(path == "/etc/passwd" ? "/etc/passwd" : "cannot be opened");
    if (const auto checked = check_owner(file, what); !checked) return std::unexpected(checked.error());
    return file;
}

Result<policy::compiled::Service> read_options(std::vector<std::string> words) {
    policy::compiled::Service options;
    const auto ask = [&](std::vector<std::string> arguments, std::vector<FdRef> descriptors) -> Status {
        arguments.insert(arguments.begin(), {"sallyport-policy", "service", "--output-fd", "3"});
        arguments.emplace_back("--");
        arguments.insert(arguments.end(), words.begin(), words.end());
        const auto answer = ask_tool(std::move(arguments), std::move(descriptors));
        if (!answer) return std::unexpected(answer.error());
        if (!options.ParseFromString(*answer)) return failure(Errc::kInvalid, "the policy tool's answer");
        return {};
    };
    // Once to learn which configuration file is meant, once more with it.
    if (const auto asked = ask({}, {}); !asked) return std::unexpected(asked.error());
    if (options.is_answered()) return options;
    const char* variable = std::getenv("QGA_CONF");
    const std::string path = options.has_config()  ? options.config()
                             : variable != nullptr ? variable
                                                   : kDefaultConfig;
    if (!options.has_config() && ::access(path.c_str(), F_OK) != 0) {
        if (const auto asked = ask({"--final"}, {}); !asked) return std::unexpected(asked.error());
        return options;
    }
    const auto file = open_checked(path, 0, "the configuration belongs to others or can be written by them");
    if (!file) return std::unexpected(file.error());
    const auto asked = ask({"--final", "--config-fd", "4", "--config-name", path}, {*file});
    if (!asked) return std::unexpected(asked.error());
    return options;
}

Result<policy::Policy> read_policy(const policy::compiled::Service& options) {
    const auto file =
        open_checked(options.policy(), 0, "the policy belongs to others or can be written by them");
    if (!file) return std::unexpected(file.error());
    const auto users = open_checked("/etc/passwd", 0, "/etc/passwd can be written by others");
    if (!users) return std::unexpected(users.error());
    const auto compiled = ask_tool({"sallyport-policy", "compile", "--input-fd", "4", "--name",
                                    options.policy(), "--output-fd", "3", "--passwd-fd", "5"},
                                   {*file, *users});
    if (!compiled) return std::unexpected(compiled.error());
    auto policy = policy::load(*compiled);
    if (!policy) return policy;
    // As if each rule that freezes had named it.
    for (policy::Rule& rule : policy->rules)
        if (rule.freeze && rule.hooks.empty()) rule.hooks = options.fsfreeze_hook();
    policy->narrowed_to = {};
    for (const std::uint32_t number : options.commands())
        if (const auto command = command_from_number(number)) policy->narrowed_to.add(*command);
    return policy;
}

}  // namespace sallyport::broker
