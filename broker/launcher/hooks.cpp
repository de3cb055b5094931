// The admin's programs that prepare for a freeze and clean up after it.
// Runs in:  launcher
// Input:    names in the admin's directories
// Relies on: base/trusted_file.cpp, anew for each start
#include "broker/launcher/launcher.hpp"

#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <memory>
#include <ranges>

namespace sallyport::launcher {

namespace {

constexpr std::array<std::string_view, 14> kPassedOver{
    "~",         ".bak",      ".orig",     ".rpmnew",    ".rpmorig",  ".rpmsave",     ".sample",
    ".dpkg-old", ".dpkg-new", ".dpkg-tmp", ".dpkg-dist", ".dpkg-bak", ".dpkg-backup", ".dpkg-remove"};

bool is_hook(FdRef directory, const char* name) {
    const std::string_view text(name);
    if (text.starts_with('.')) return false;
    if (std::ranges::any_of(kPassedOver, [&](auto end) { return text.ends_with(end); })) return false;
    struct stat info{};
    return ::fstatat(directory.get(), name, &info, 0) == 0 && S_ISREG(info.st_mode) &&
           (info.st_mode & S_IXUSR) != 0;
}

Status add_directory(FdRef directory, const std::string& path, std::vector<std::string>& hooks) {
    UniqueFd readable(::openat(directory.get(), ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    const std::unique_ptr<DIR, int (*)(DIR*)> entries(::fdopendir(readable.get()), ::closedir);
    if (!entries) return system_error("hooks directory");
    (void)readable.release();
    const auto first = static_cast<std::ptrdiff_t>(hooks.size());
    while (const dirent* entry = ::readdir(entries.get()))
        if (is_hook(directory, entry->d_name)) hooks.push_back(path + "/" + entry->d_name);
    std::ranges::sort(hooks.begin() + first, hooks.end());
    return {};
}

}  // namespace

Checked<std::vector<std::string>> HookPrograms::list() const {
    std::vector<std::string> hooks;
    for (const std::string& path : table_.hooks()) {
        const auto opened = open_trusted(path);
        if (!opened && opened.error().error.sys_errno == ENOENT) continue;
        if (!opened) return std::unexpected(opened.error());
        struct stat info{};
        if (::fstat(opened->get(), &info) != 0) return system_error("fstat");
        if (S_ISDIR(info.st_mode))
            TRY(about(path, add_directory(*opened, path, hooks)));
        else
            hooks.push_back(path);
    }
    return hooks;
}

ipc::Outcome HookPrograms::freeze() {
    ipc::Outcome outcome;
    outcome.set_kind(ipc::Outcome::DONE);
    const auto hooks = list();
    if (!hooks) {
        outcome.set_kind(ipc::Outcome::UNSAFE);
        outcome.set_number(hooks.error().error.sys_errno);
        return outcome;
    }
    for (const std::string& path : *hooks) {
        started_.push_back(path);
        outcome = carry_out({.words = {path, "freeze"}, .deadline_ms = table_.hook_deadline_ms()});
        if (outcome.kind() != ipc::Outcome::DONE) break;
    }
    return outcome;
}

ipc::Outcome HookPrograms::thaw() {
    ipc::Outcome first;
    first.set_kind(ipc::Outcome::DONE);
    // After a restart while frozen, it is not known which were started.
    auto owed = std::exchange(started_, {});
    if (owed.empty()) owed = list().value_or(std::vector<std::string>{});
    for (const std::string& path : owed | std::views::reverse) {
        ipc::Outcome outcome = carry_out({.words = {path, "thaw"}, .deadline_ms = table_.hook_deadline_ms()});
        if (first.kind() == ipc::Outcome::DONE) first = std::move(outcome);
    }
    return first;
}

}  // namespace sallyport::launcher
