#include "policy/tool/verbs/candidate.hpp"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <cstdio>
#include <filesystem>
#include <vector>

#include "policy/fragments.hpp"
#include "policy/tool/verbs/files.hpp"
#include "policy/tool/verbs/fragment_files.hpp"

namespace sallyport::policy::cli {

namespace {

constexpr unsigned kPermissions = 0777;

// What a signal that ends this process must not leave behind, in the order in which it was made: the next apply would take it for another that is
// under way.
std::vector<std::string> unfinished;

void remove_unfinished() {
    for (auto path = unfinished.rbegin(); path != unfinished.rend(); ++path)
        if (::unlink(path->c_str()) != 0) ::rmdir(path->c_str());
}

void remove_and_end(int number) {
    remove_unfinished();
    ::signal(number, SIG_DFL);
    ::raise(number);
}

/// A stretch that no signal parts. What is unfinished at its end is removed by a signal that comes later; one that is ignored stays so.
class Unbroken {
public:
    Unbroken() {
        sigset_t ending{};
        ::sigemptyset(&ending);
        for (const int number : kEnding) ::sigaddset(&ending, number);
        ::sigprocmask(SIG_BLOCK, &ending, &before_);
    }
    Unbroken(const Unbroken&) = delete;
    Unbroken& operator=(const Unbroken&) = delete;
    ~Unbroken() {
        for (const int number : kEnding)
            if (::signal(number, unfinished.empty() ? SIG_DFL : remove_and_end) == SIG_IGN)
                ::signal(number, SIG_IGN);
        ::sigprocmask(SIG_SETMASK, &before_, nullptr);
    }

private:
    static constexpr int kEnding[] = {SIGINT, SIGTERM, SIGHUP};
    sigset_t before_{};
};

Status sync(const std::string& directory) {
    const UniqueFd file(::open(directory.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    return file.is_open() && ::fsync(file.get()) == 0 ? Status() : system_error("cannot be synced");
}

std::string directory_of(const std::string& path) {
    const std::size_t slash = path.rfind('/');
    return slash == path.npos ? "." : path.substr(0, slash + 1);
}

// A file that was not there, with the owner and the mode of another.
Status write_new(const std::string& path, std::string_view text, const struct stat& like) {
    constexpr int kFlags = O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC;
    const UniqueFd file(::open(path.c_str(), kFlags, 0600));
    if (!file.is_open()) return system_error("cannot be made; is another apply under way?");
    unfinished.push_back(path);
    TRY(write_all(file, text));
    if (::fchown(file.get(), like.st_uid, like.st_gid) != 0 ||
        ::fchmod(file.get(), like.st_mode & kPermissions) != 0)
        return system_error("cannot be given to the owner of the policy");
    return ::fsync(file.get()) == 0 ? Status() : system_error("cannot be written");
}

// Whoever may read the files may look into their folder.
mode_t mode_of_folder(mode_t mode) {
    return (mode & kPermissions) | ((mode & 0444U) >> 2U);
}

// Removes what a policy's folder holds, and the folder if nothing else is in it: what is not a policy's is not ours to remove.
Status remove_folder(const std::string& folder) {
    struct stat info{};
    if (::lstat(folder.c_str(), &info) == 0 && !S_ISDIR(info.st_mode))
        return failure(Errc::kInvalid, "what is kept beside it is no folder");
    std::error_code error;
    for (const auto& entry : std::filesystem::directory_iterator(folder, error))
        if (judge_fragment_name(entry.path().filename().string()) == FragmentName::kRead)
            ::unlink(entry.path().c_str());
    return ::rmdir(folder.c_str()) == 0 || errno == ENOENT
               ? Status()
               : system_error("the folder that is kept beside it cannot be removed");
}

}  // namespace

bool has_folder(const std::string& policy) {
    return ::access(folder_of(policy).c_str(), F_OK) == 0;
}

std::optional<compiled::Fragments> files_of_folder(const std::string& policy) {
    return read_fragments(policy, {.own = {}, .vendor = {}});
}

Candidate::Candidate(std::string target)
    : target_(std::move(target)), path_(target_ + kNewEnding), old_(target_ + kOldEnding) {}

Candidate::~Candidate() {
    const Unbroken unbroken;
    remove_unfinished();
    unfinished.clear();
}

Status Candidate::write(const Proposal& proposal, const struct stat& like) {
    const Unbroken unbroken;
    struct stat folder{};
    if (proposal.folder && ::lstat(folder_of(target_).c_str(), &folder) == 0 && S_ISLNK(folder.st_mode))
        return failure(Errc::kInvalid, "its folder is a link: replace what it leads to by hand");
    TRY(write_new(path_, proposal.text, like));
    brings_folder_ = proposal.folder.has_value();
    return brings_folder_ ? write_folder(folder_of(path_), *proposal.folder, like) : Status();
}

Status Candidate::write_folder(const std::string& folder, const compiled::Fragments& files,
                               const struct stat& like) {
    if (::mkdir(folder.c_str(), 0700) != 0)
        return system_error("its folder cannot be made; is another apply under way?");
    unfinished.push_back(folder);
    for (const compiled::Fragments::File& file : files.files())
        TRY(write_new(folder + file.name().substr(file.name().rfind('/')), file.text(), like));
    if (::chown(folder.c_str(), like.st_uid, like.st_gid) != 0 ||
        ::chmod(folder.c_str(), mode_of_folder(like.st_mode)) != 0)
        return system_error("its folder cannot be given to the owner of the policy");
    return sync(folder);
}

// The old policy stays beside the new one, with the folder that it had.
Status Candidate::keep_old(const struct stat& like) {
    if (::unlink(old_.c_str()) != 0 && errno != ENOENT) return system_error("cannot be removed");
    TRY(remove_folder(folder_of(old_)));
    if (had_folder_ && !brings_folder_) {
        const auto files = files_of_folder(target_);
        if (!files) return failure(Errc::kInvalid, "the folder in force cannot be kept");
        TRY(write_folder(folder_of(old_), *files, like));
    }
    return ::link(target_.c_str(), old_.c_str()) == 0 ? Status() : system_error("cannot be kept");
}

// Where there was a folder, what is new and what was change their names at once.
Status Candidate::put_folder() {
    const std::string fresh = folder_of(path_);
    const unsigned how = had_folder_ ? RENAME_EXCHANGE : RENAME_NOREPLACE;
    if (::renameat2(AT_FDCWD, fresh.c_str(), AT_FDCWD, folder_of(target_).c_str(), how) != 0)
        return system_error("the folder cannot be replaced");
    return {};
}

void Candidate::take_folder_back() {
    const std::string fresh = folder_of(path_);
    ::renameat2(AT_FDCWD, folder_of(target_).c_str(), AT_FDCWD, fresh.c_str(),
                had_folder_ ? RENAME_EXCHANGE : RENAME_NOREPLACE);
}

Status Candidate::put(const struct stat& like) {
    const Unbroken unbroken;
    had_folder_ = has_folder(target_);
    TRY(keep_old(like));
    if (brings_folder_) TRY(put_folder());
    if (::rename(path_.c_str(), target_.c_str()) != 0) {
        const auto error = system_error("cannot be replaced");
        if (brings_folder_) take_folder_back();
        return error;
    }
    unfinished.clear();
    if (!brings_folder_) return sync(directory_of(target_));
    // A policy without a folder has an empty one in its place: applied again, it takes the new one away.
    const std::string kept = folder_of(old_);
    if (had_folder_ ? ::rename(folder_of(path_).c_str(), kept.c_str()) != 0
                    : ::mkdir(kept.c_str(), 0700) != 0)
        return system_error("the folder that was cannot be kept");
    return sync(directory_of(target_));
}

Status Candidate::take_back(const std::string& old_text, const struct stat& like) {
    const Unbroken unbroken;
    if (brings_folder_) {
        // What is new has the name that what was before is kept by.
        const std::string kept = folder_of(old_);
        if (!had_folder_ && ::rmdir(kept.c_str()) != 0) return system_error("the folder cannot be put back");
        if (::renameat2(AT_FDCWD, folder_of(target_).c_str(), AT_FDCWD, kept.c_str(),
                        had_folder_ ? RENAME_EXCHANGE : RENAME_NOREPLACE) != 0)
            return system_error("the folder cannot be put back");
        TRY(remove_folder(kept));
    }
    TRY(write_new(path_, old_text, like));
    if (::rename(path_.c_str(), target_.c_str()) != 0) return system_error("cannot be put back");
    unfinished.clear();
    return sync(directory_of(target_));
}

}  // namespace sallyport::policy::cli
