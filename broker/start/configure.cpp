// Runs in:  starter
#include "broker/start/configure.hpp"

#include <fcntl.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstdio>
#include <cstdlib>

#include "base/trusted_file.hpp"
#include "broker/start/fragments.hpp"
#include "broker/start/spawn.hpp"
#include "broker/take_over.hpp"
#include "ipc/limits.hpp"
#include "policy/drop_ins.hpp"

namespace sallyport::starter {

namespace {

constexpr const char* kConfigVariable = "QGA_CONF";
constexpr const char* kDefaultConfig = "/etc/qemu/qemu-ga.conf";
constexpr const char* kZones = "/usr/share/zoneinfo";

}  // namespace

Result<std::string> working_directory() {
    std::array<char, 4096> text{};
    if (::getcwd(text.data(), text.size()) == nullptr) return system_error("getcwd");
    return std::string(text.data());
}

std::string usual_config() {
    const char* variable = std::getenv(kConfigVariable);
    return variable != nullptr ? variable : kDefaultConfig;
}

Checked<UniqueFd> open_of_admin(const std::string& path, int flags) {
    if (path.starts_with('/')) return open_trusted(path, O_RDONLY | flags);
    return open_trusted(TRY(about("working directory", working_directory())) + "/" + path, O_RDONLY | flags);
}

Checked<policy::compiled::Service> read_options(std::vector<std::string> words) {
    policy::compiled::Service options;
    const auto ask = [&](std::vector<std::string> arguments,
                         std::vector<FdRef> descriptors) -> Checked<void> {
        arguments.insert(arguments.begin(), {"service", "--output-fd", "3"});
        arguments.emplace_back("--");
        arguments.insert(arguments.end(), words.begin(), words.end());
        const std::string answer = TRY(run_tool({.input = "command line or configuration",
                                                 .arguments = std::move(arguments),
                                                 .descriptors = std::move(descriptors)}));
        if (!options.ParseFromString(answer)) return failure(Errc::kInvalid, "the policy tool's answer");
        return {};
    };
    const auto ask_with = [&](const std::string& config, FdRef file) {
        return ask({"--final", "--config-fd", "4", "--config-name", config}, {file});
    };
    const bool is_named = std::getenv(kConfigVariable) != nullptr;
    const std::string usual = usual_config();
    // Like qemu-ga: a missing default file is not an error.
    const bool is_there = ::access(usual.c_str(), F_OK) == 0 || errno != ENOENT;
    auto file = is_there ? open_of_admin(usual, 0) : Checked<UniqueFd>();
    // The tool gives no answer if the command line names another configuration file.
    TRY(!file ? ask({}, {}) : is_there ? ask_with(usual, *file) : ask({"--final"}, {}));
    const bool is_read = file && is_there && options.config() == usual;
    if (options.has_config() && !is_read) {
        const UniqueFd named = TRY(open_of_admin(options.config(), 0));
        TRY(ask_with(std::string(options.config()), named));
    } else if (!file && !options.is_answered()) {
        return std::unexpected(file.error());
    } else if (!is_there && is_named) {
        // Only a warning, but the file may be the one that restricts the host.
        ::dprintf(STDERR_FILENO, "sallyportd: warning: %s\n",
                  text_of({Error{Errc::kInvalid, "QGA_CONF names it, and it is not there"}, usual}).c_str());
    }
    // From now on it counts as one of the agent's own files.
    if (file && is_there && !options.has_config()) options.set_config(usual);
    return options;
}

bool is_started_by_unit() {
    return std::getenv(policy::kUnitVariable) != nullptr;
}

Checked<void> refuse_narrow_unit(const policy::Policy& policy) {
    if (!is_started_by_unit()) return {};
    std::string missing;
    for (const policy::DropIn& one : policy::drop_ins_of(policy))
        if (std::getenv(one.variable) == nullptr)
            missing += (missing.empty() ? "" : " ") + std::string(one.path);
    if (missing.empty()) return {};
    return complaint(Errc::kInvalid,
                     "the policy needs these drop-ins of the unit: link them into "
                     "/etc/systemd/system/sallyport.service.d, then `systemctl daemon-reload`",
                     missing);
}

Checked<ReadPolicy> read_policy(const policy::compiled::Service& options) {
    const UniqueFd file = TRY(open_of_admin(options.policy(), 0));
    const UniqueFd users = TRY(open_of_admin("/etc/passwd", 0));
    // Without a group file nobody is in any group.
    const bool has_groups = ::access("/etc/group", F_OK) == 0 || errno != ENOENT;
    const UniqueFd groups = has_groups ? TRY(open_of_admin("/etc/group", 0))
                                       : UniqueFd(::open("/dev/null", O_RDONLY | O_CLOEXEC));
    // Where time zones are missing, or others can change them, UTC is the only one: a policy that names another is refused.
    auto found = open_of_admin(kZones, O_DIRECTORY);
    const UniqueFd zones = found ? *std::move(found) : UniqueFd(::open("/dev/null", O_RDONLY | O_CLOEXEC));
    const auto read = TRY(read_fragments(options.policy()));
    const UniqueFd fragments = TRY(about(options.policy(), sealed(read.SerializeAsString())));
    std::string compiled = TRY(run_tool(
        {.input = options.policy(),
         .arguments = {"compile", "--input-fd", "4", "--name", options.policy(), "--output-fd", "3",
                       "--passwd-fd", "5", "--group-fd", "6", "--zones-fd", "7", "--fragments-fd", "8"},
         .descriptors = {file, users, groups, zones, fragments}}));
    policy::Policy policy = TRY(about(options.policy(), broker::load_policy(compiled, options)));
    TRY(refuse_narrow_unit(policy));
    ReadPolicy whole{.policy = std::move(policy), .compiled = std::move(compiled)};
    for (const auto& one : read.files()) whole.files.push_back(one.name());
    return whole;
}

}  // namespace sallyport::starter
