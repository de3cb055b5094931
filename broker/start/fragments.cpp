// Runs in:  starter
#include "broker/start/fragments.hpp"

#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdio>
#include <memory>
#include <utility>
#include <vector>

#include "broker/start/configure.hpp"
#include "ipc/limits.hpp"
#include "policy/fragments.hpp"

namespace sallyport::starter {

namespace {

using policy::FragmentName;
using policy::compiled::Fragments;

struct Folder {
    std::string path;
    bool is_vendor = false;
};

bool is_there(const std::string& path) {
    struct stat info{};
    return ::lstat(path.c_str(), &info) == 0 || errno != ENOENT;
}

Result<std::string> text_in(FdRef file) {
    std::string text;
    std::array<char, 65536> part{};
    for (;;) {
        const ssize_t got = ::read(file.get(), part.data(), part.size());
        if (got < 0) return system_error("cannot be read");
        if (got == 0) return text;
        text.append(part.data(), static_cast<std::size_t>(got));
        if (text.size() > kMaxPolicySize) return failure(Errc::kLimit, "too long");
    }
}

// Only a warning. It may be an editor's copy of a file that is read.
void tell_ignored(const std::string& path) {
    constexpr const char* kWhy = "not read: only names that end in .toml are, and no editor's";
    ::dprintf(STDERR_FILENO, "sallyportd: warning: %s\n",
              text_of({Error{Errc::kInvalid, kWhy}, path}).c_str());
}

// It is looked at before it is opened: to open a pipe would wait, and to open a device may do something.
Checked<std::string> read_file(FdRef folder, const std::string& name, const std::string& path) {
    struct stat info{};
    if (::fstatat(folder.get(), name.c_str(), &info, AT_SYMLINK_NOFOLLOW) != 0)
        return about(path, Result<std::string>(system_error("cannot be looked at")));
    if (S_ISLNK(info.st_mode))
        return complaint(Errc::kInvalid,
                         "is a symbolic link: the folder of a policy holds its files themselves", path);
    if (!S_ISREG(info.st_mode)) return complaint(Errc::kInvalid, "is no regular file", path);
    const UniqueFd file = TRY(open_of_admin(path, O_NONBLOCK));
    return about(path, text_in(file));
}

Checked<void> read_folder(const Folder& from, Fragments& to, std::size_t& size) {
    if (!is_there(from.path)) return {};
    const UniqueFd folder = TRY(open_of_admin(from.path, O_DIRECTORY));
    UniqueFd listed = TRY(open_of_admin(from.path, O_DIRECTORY));
    const auto names = TRY(about(from.path, names_in(std::move(listed))));
    std::size_t count = 0;
    for (const std::string& name : names) {
        const std::string path = from.path + "/" + name;
        const FragmentName judged = policy::judge_fragment_name(name);
        if (judged == FragmentName::kIgnored) tell_ignored(path);
        if (judged == FragmentName::kOdd)
            return complaint(Errc::kInvalid, "a name with other than letters, digits, '-', '_' and '.'",
                             path);
        if (judged != FragmentName::kRead) continue;
        if (++count > policy::kMaxFragments) return complaint(Errc::kLimit, "has too many files", from.path);
        std::string text = TRY(read_file(folder, name, path));
        size += text.size();
        if (size > kMaxPolicySize) return complaint(Errc::kLimit, "too long, with the files before it", path);
        auto& file = *to.add_files();
        file.set_name(path);
        *file.mutable_text() = std::move(text);
        file.set_is_vendor(from.is_vendor);
    }
    return {};
}

}  // namespace

Result<std::vector<std::string>> names_in(UniqueFd folder) {
    const std::unique_ptr<DIR, int (*)(DIR*)> entries(::fdopendir(folder.get()), ::closedir);
    if (!entries) return system_error("cannot be read");
    static_cast<void>(folder.release());  // closedir() closes it
    std::vector<std::string> names;
    errno = 0;
    while (const dirent* entry = ::readdir(entries.get())) {
        const std::string name(&entry->d_name[0]);
        if (name == "." || name == "..") continue;
        if (names.size() == policy::kMaxFolderNames) return failure(Errc::kLimit, "has too many files");
        names.push_back(name);
    }
    if (errno != 0) return system_error("cannot be read");
    std::ranges::sort(names);
    return names;
}

Checked<Fragments> read_fragments(const std::string& policy_path) {
    Fragments fragments;
    std::size_t size = 0;
    TRY(read_folder({.path = policy::folder_of(policy_path)}, fragments, size));
    TRY(read_folder({.path = policy::kVendorFolder, .is_vendor = true}, fragments, size));
    return fragments;
}

}  // namespace sallyport::starter
