#include "policy/tool/verbs/fragment_files.hpp"

#include <fcntl.h>
#include <sys/stat.h>

#include <algorithm>
#include <cerrno>
#include <filesystem>
#include <vector>

#include "base/trusted_file.hpp"
#include "ipc/limits.hpp"
#include "policy/tool/compile/problems.hpp"
#include "policy/tool/verbs/files.hpp"

namespace sallyport::policy::cli {

namespace {

class Reading {
public:
    /// False, and a complaint, if something of the folder cannot be read.
    bool read(const std::string& folder, bool is_vendor) {
        const UniqueFd directory(::open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
        if (!directory.is_open()) return fail(folder, system_error("cannot be opened").error());
        std::vector<std::string> names;
        std::error_code error;
        for (const auto& entry : std::filesystem::directory_iterator(folder, error))
            names.push_back(entry.path().filename().string());
        if (error) return fail(folder, {Errc::kSystem, "cannot be read", error.value()});
        std::ranges::sort(names);
        std::size_t count = 0;
        for (const std::string& name : names) {
            const std::string path = folder + "/" + name;
            const FragmentName judged = judge_fragment_name(name);
            if (judged == FragmentName::kIgnored)
                complain(compile::printable(path) +
                         ": warning: not read: only names that end in .toml are, and no editor's\n");
            if (judged == FragmentName::kOdd)
                return fail(path,
                            {Errc::kInvalid, "a name with other than letters, digits, '-', '_' and '.'"});
            if (judged != FragmentName::kRead) continue;
            if (++count > kMaxFragments) return fail(folder, {Errc::kLimit, "has too many files"});
            if (!take(directory, name, path, is_vendor)) return false;
        }
        return true;
    }
    [[nodiscard]] const compiled::Fragments& all() const { return all_; }

private:
    bool take(FdRef directory, const std::string& name, const std::string& path, bool is_vendor) {
        struct stat info{};
        if (::fstatat(directory.get(), name.c_str(), &info, AT_SYMLINK_NOFOLLOW) != 0)
            return fail(path, system_error("cannot be looked at").error());
        if (S_ISLNK(info.st_mode))
            return fail(path, {Errc::kInvalid,
                               "is a symbolic link: the folder of a policy holds its files themselves"});
        if (!S_ISREG(info.st_mode)) return fail(path, {Errc::kInvalid, "is no regular file"});
        const UniqueFd file(::openat(directory.get(), name.c_str(),
                                     O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC));
        if (!file.is_open()) return fail(path, system_error("cannot be opened").error());
        auto text = read_all(file, kMaxPolicySize);
        if (!text) return fail(path, text.error());
        size_ += text->size();
        if (size_ > kMaxPolicySize) return fail(path, {Errc::kLimit, "too long, with the files before it"});
        compiled::Fragments::File& to = *all_.add_files();
        to.set_name(path);
        to.set_text(*std::move(text));
        to.set_is_vendor(is_vendor);
        return true;
    }
    static bool fail(const std::string& path, const Error& error) {
        complain(describe(path, error));
        return false;
    }

    compiled::Fragments all_;
    std::size_t size_ = 0;
};

bool is_there(const std::string& path) {
    struct stat info{};
    return ::lstat(path.c_str(), &info) == 0 || errno != ENOENT;
}

}  // namespace

std::optional<compiled::Fragments> read_fragments(const std::string& policy_path, const Folders& folders) {
    Reading reading;
    const std::string own = folders.own.empty() ? folder_of(policy_path) : folders.own;
    if ((!folders.own.empty() || is_there(own)) && !reading.read(own, false)) return std::nullopt;
    if (is_there(folders.vendor) && !reading.read(folders.vendor, true)) return std::nullopt;
    return reading.all();
}

std::string warn_of_owners(const compiled::Fragments& files) {
    std::string text;
    std::error_code ignored;
    for (const auto& file : files.files()) {
        const auto path = std::filesystem::absolute(file.name(), ignored).lexically_normal().string();
        const auto judged = open_trusted(path);
        if (judged || judged.error().error.code != Errc::kProof) continue;
        text += compile::printable(file.name()) +
                ": warning: the agent does not start with it: " + text_of(judged.error()) + "\n";
    }
    return text;
}

}  // namespace sallyport::policy::cli
