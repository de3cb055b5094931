// What the admin wrote down, read for the broker by the policy tool.
// Runs in:  broker, before lockdown()
// Input:    the admin's files; base/trusted_file.hpp judges them
#include "broker/configure.hpp"

#include <fcntl.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstdio>
#include <cstdlib>

#include "base/trusted_file.hpp"
#include "broker/spawn.hpp"
#include "ipc/limits.hpp"

namespace sallyport::broker {

namespace {

constexpr std::array kToolPlaces{"../bin/sallyport-policy", "../policy/cli/sallyport-policy"};
constexpr const char* kDefaultConfig = "/etc/qemu/qemu-ga.conf";

// `input` is what the tool reads for us, as it is called in messages.
Checked<std::string> ask_tool(const std::string& input, std::vector<std::string> arguments,
                              std::vector<FdRef> descriptors) {
    const PlainUser user = TRY(plain_user());
    const Executable tool = TRY(open_helper(kToolPlaces));
    auto answer = run_tool({.executable = tool.file,
                            .arguments = std::move(arguments),
                            .descriptors = std::move(descriptors),
                            .user = user,
                            .limit = kMaxCompiledSize,
                            .deadline_ms = kCompileDeadlineMs});
    const bool is_refused = !answer && answer.error().code == Errc::kInvalid;
    return about(is_refused ? input : tool.path, std::move(answer));
}

}  // namespace

Result<std::string> working_directory() {
    std::array<char, 4096> text{};
    if (::getcwd(text.data(), text.size()) == nullptr) return system_error("getcwd");
    return std::string(text.data());
}

Checked<UniqueFd> open_of_admin(const std::string& path, int flags) {
    if (path.starts_with('/')) return open_trusted(path, O_RDONLY | flags);
    return open_trusted(TRY(about("working directory", working_directory())) + "/" + path, O_RDONLY | flags);
}

Checked<policy::compiled::Service> read_options(std::vector<std::string> words) {
    policy::compiled::Service options;
    const auto ask = [&](std::vector<std::string> arguments,
                         std::vector<FdRef> descriptors) -> Checked<void> {
        arguments.insert(arguments.begin(), {"sallyport-policy", "service", "--output-fd", "3"});
        arguments.emplace_back("--");
        arguments.insert(arguments.end(), words.begin(), words.end());
        const std::string answer =
            TRY(ask_tool("command line or configuration", std::move(arguments), std::move(descriptors)));
        if (!options.ParseFromString(answer)) return failure(Errc::kInvalid, "the policy tool's answer");
        return {};
    };
    const auto ask_with = [&](const std::string& config, FdRef file) {
        return ask({"--final", "--config-fd", "4", "--config-name", config}, {file});
    };
    const char* variable = std::getenv("QGA_CONF");
    const std::string usual = variable != nullptr ? variable : kDefaultConfig;
    // As with qemu-ga, one that is not there is no error.
    const bool is_there = ::access(usual.c_str(), F_OK) == 0 || errno != ENOENT;
    auto file = is_there ? open_of_admin(usual, 0) : Checked<UniqueFd>();
    // The tool comes back without an answer if the command line names another file.
    TRY(!file ? ask({}, {}) : is_there ? ask_with(usual, *file) : ask({"--final"}, {}));
    const bool is_read = file && is_there && options.config() == usual;
    if (options.has_config() && !is_read) {
        const UniqueFd named = TRY(open_of_admin(options.config(), 0));
        TRY(ask_with(std::string(options.config()), named));
    } else if (!file && !options.is_answered()) {
        return std::unexpected(file.error());
    } else if (!is_there && variable != nullptr) {
        // But what restricts the host may stand in it.
        ::dprintf(STDERR_FILENO, "sallyportd: warning: %s\n",
                  text_of({Error{Errc::kInvalid, "QGA_CONF names it, and it is not there"}, usual}).c_str());
    }
    // Known as the agent's own from now on.
    if (file && is_there && !options.has_config()) options.set_config(usual);
    return options;
}

Checked<ReadPolicy> read_policy(const policy::compiled::Service& options) {
    const UniqueFd file = TRY(open_of_admin(options.policy(), 0));
    const UniqueFd users = TRY(open_of_admin("/etc/passwd", 0));
    std::string compiled = TRY(ask_tool(options.policy(),
                                        {"sallyport-policy", "compile", "--input-fd", "4", "--name",
                                         options.policy(), "--output-fd", "3", "--passwd-fd", "5"},
                                        {file, users}));
    policy::Policy policy = TRY(about(options.policy(), policy::load(compiled)));
    // As if each rule that freezes had named it.
    for (policy::Rule& rule : policy.rules)
        if (rule.freeze && rule.hooks.empty()) rule.hooks = options.fsfreeze_hook();
    policy.narrowed_to = {};
    for (const std::uint32_t number : options.commands())
        if (const auto command = command_from_number(number)) policy.narrowed_to.add(*command);
    return ReadPolicy{.policy = std::move(policy), .compiled = std::move(compiled)};
}

}  // namespace sallyport::broker
