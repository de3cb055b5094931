// Runs in:  starter, which looks and compares; files, before lockdown()
#include "broker/files/needs.hpp"

#include <fcntl.h>
#include <sys/stat.h>

#include <algorithm>
#include <cerrno>
#include <optional>
#include <string>

#include "broker/files/kernel.hpp"
#include "broker/files/survey.hpp"
#include "ipc/codec.hpp"
#include "sandbox/places.hpp"

namespace sallyport::files {

namespace {

// Whether our uid can traverse every directory above `path` without a capability.
bool can_be_reached(const std::string& path) {
    for (std::size_t end = path.find('/', 1); end != path.npos; end = path.find('/', end + 1)) {
        const auto facts = look_at_path(path.substr(0, end));
        if (!facts) return true;  // it does not exist, so nobody knows yet
        const unsigned needed = facts->owner == ::geteuid() ? S_IXUSR : S_IXOTH;
        if ((facts->mode & needed) == 0) return false;
    }
    return true;
}

// Runs in a child, which may wait for ever. An automounter on the way to an allowed directory mounts it now.
Answer look_at_rule(const std::string& under) {
    ipc::SeenPath seen;
    seen.set_is_known(true);
    seen.set_is_closed(!can_be_reached(under));
    const auto found = find_path(under);
    seen.set_is_behind_link(!found && found.error().sys_errno == ELOOP);
    seen.set_is_directory(find_path(under, O_DIRECTORY).has_value());
    const auto system = sandbox::system_directory(under);
    seen.set_is_in_tree(system && find_path(*system, O_DIRECTORY));
    Answer answer;
    ipc::encode(seen, answer.bytes);
    return answer;
}

}  // namespace

Result<std::vector<ipc::SeenPath>> look_at_rules(const policy::Policy& policy) {
    std::vector<const std::string*> paths;
    for (const policy::Rule& rule : policy.rules)
        for (const policy::FileRule& file : rule.files) paths.push_back(&file.under);
    const auto answers = TRY(survey(paths.size(), [&](std::size_t at) { return look_at_rule(*paths[at]); }));
    std::vector<ipc::SeenPath> all;
    std::string scratch;
    for (const auto& answer : answers) {
        ipc::SeenPath& seen = all.emplace_back();
        if (answer) TRY(ipc::decode(answer->bytes, seen, scratch));
    }
    return all;
}

sandbox::FilesNeeds needs_of(const policy::Policy& policy, const std::vector<ipc::SeenPath>& seen) {
    sandbox::FilesNeeds needs;
    for_each_seen(policy, seen, [&](const auto& rule, const auto& file, const ipc::SeenPath& path) {
        needs.others_directories |= path.is_closed();
        if (rule.effect == policy::Effect::kDeny) return;
        needs.reads_files |= file.access.read;
        needs.writes_files |= file.access.write;
        needs.creates_files |= file.access.create;
        needs.others_files |= file.owners != std::vector{static_cast<std::uint32_t>(::geteuid())};
        needs.trees.push_back(
            {.path = path.is_in_tree() ? sandbox::system_directory(file.under).value_or("/") : "/",
             .read = file.access.read,
             .write = file.access.write,
             .create = file.access.create,
             .list = file.kinds.directory});
    });
    return needs;
}

Checked<void> open_trees(sandbox::FilesNeeds& needs, std::vector<UniqueFd>& kept) {
    for (sandbox::FilesNeeds::Tree& tree : needs.trees) {
        kept.push_back(TRY(about(tree.path, find_path(tree.path))));
        tree.fd = kept.back().get();
    }
    return {};
}

Checked<void> refuse_links(const policy::Policy& policy, const std::vector<ipc::SeenPath>& seen) {
    Checked<void> judged;
    for_each_seen(policy, seen, [&](const auto& rule, const auto& file, const ipc::SeenPath& path) {
        if (!judged || rule.effect == policy::Effect::kDeny || !path.is_behind_link()) return;
        judged = complaint(Errc::kInvalid,
                           "a symbolic link is on the way to this directory; write where it leads to",
                           rule.where + ": rule '" + rule.id + "': " + file.under);
    });
    return judged;
}

}  // namespace sallyport::files
