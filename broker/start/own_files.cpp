// Runs in:  starter
#include "broker/start/own_files.hpp"

#include <fcntl.h>

#include <array>
#include <cerrno>
#include <utility>

#include "broker/start/fragments.hpp"
#include "broker/start/installation.hpp"
#include "policy/accounts.hpp"
#include "policy/fragments.hpp"

namespace sallyport::starter {

namespace {

// A file that gets another of these names gets a later one, so that whoever looks them up in this order does not miss it.
std::vector<std::string> names_of_state(std::uint32_t logs) {
    std::vector<std::string> names{"sallyport.clock",   "sallyport.state",  "sallyport.budgets.new",
                                   "sallyport.budgets", "sallyport.frozen", "sallyport.denied.new",
                                   "sallyport.denied",  "audit.lock",       "audit.jsonl"};
    for (std::uint32_t number = 1; number <= logs; ++number)
        names.push_back("audit.jsonl." + std::to_string(number));
    return names;
}

// THREAT: from there it may come into force: what was before, when an admin goes back to it; what is to be, once he has looked at it.
std::array<std::string, 3> names_of_policy(const std::string& policy) {
    return {policy + policy::kNewEnding, policy, policy + policy::kOldEnding};
}

Checked<void> add_hooks(const std::string& hooks, std::vector<std::string>& own) {
    auto folder = open_of_admin(hooks, O_DIRECTORY);
    const int error = folder ? 0 : folder.error().error.sys_errno;
    if (error == ENOENT || error == ENOTDIR) return {};  // there are none, or it is one
    if (!folder) return std::unexpected(folder.error());
    for (const std::string& name : TRY(about(hooks, names_in(*std::move(folder)))))
        own.push_back(hooks + "/" + name);
    return {};
}

}  // namespace

Checked<std::vector<std::string>> own_paths(const policy::compiled::Service& options,
                                            const ReadPolicy& read) {
    const std::string directory = TRY(about("working directory", working_directory()));
    std::vector<std::string> all = read.files;
    all.insert(all.end(), {options.statedir(), options.logfile(), options.pidfile(), options.config(),
                           usual_config(), std::string(policy::kVendorFolder)});
    for (const std::string& name : names_of_policy(options.policy()))
        all.insert(all.end(), {name, policy::folder_of(name)});
    for (const std::string& name : names_of_state(read.policy.audit.keep))
        all.push_back(options.statedir() + "/" + name);
    std::vector<std::string> paths = TRY(installed_programs());
    for (const std::string& raw : all)
        if (const auto path = policy::GuestPath::parse(raw, directory)) paths.emplace_back(path->text());
    return paths;
}

// Root starts what is in a hook directory; the program of a template runs as the user that its rule names.
Checked<std::vector<std::string>> untouchable(const policy::Policy& policy, std::vector<std::string> own) {
    for (const policy::Rule& rule : policy.rules) {
        if (!rule.hooks.empty()) {
            own.push_back(rule.hooks);
            TRY(add_hooks(rule.hooks, own));
        }
        for (const ipc::ExecTemplate& one : rule.exec)
            if (!one.program().empty()) own.push_back(one.program());
        if (rule.accounts && rule.commands.has(CommandId::kSetUserPassword))
            own.emplace_back(policy::kChpasswd);
    }
    return own;
}

}  // namespace sallyport::starter
