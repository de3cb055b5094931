// Runs in:  starter; launcher
#include "base/trusted_file.hpp"

#include <linux/magic.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <unistd.h>

#include <algorithm>
#include <array>

namespace sallyport {

namespace {

constexpr int kMostLinks = 16;
constexpr int kStep = O_PATH | O_NOFOLLOW | O_CLOEXEC;

enum class Part : std::uint8_t { kOnTheWay, kEnd };

// THREAT: a user mounts a file system on his directory, and its server claims that root owns everything.
Status refuse_server_of_a_user(FdRef file) {
    struct statfs info{};
    if (::fstatfs(file.get(), &info) != 0) return system_error("fstatfs");
    if (info.f_type == FUSE_SUPER_MAGIC)
        return failure(Errc::kProof, "lies on FUSE, where a server says whose a file is");
    return {};
}

Result<mode_t> judge(FdRef file, Part part) {
    struct stat info{};
    TRY(refuse_server_of_a_user(file));
    if (::fstat(file.get(), &info) != 0) return system_error("fstat");
    if (info.st_uid != 0 && info.st_uid != ::geteuid())
        return failure(Errc::kProof,
                       "belongs to another user, who could change it: give it to root (chown root)");
    const bool is_passage = part == Part::kOnTheWay && S_ISDIR(info.st_mode) && (info.st_mode & S_ISVTX) != 0;
    const bool is_closed = S_ISLNK(info.st_mode) || (info.st_mode & (S_IWGRP | S_IWOTH)) == 0;
    if (!is_closed && !is_passage)
        return failure(Errc::kProof, "can be written by others: take that from them (chmod go-w)");
    return info.st_mode;
}

Result<std::string> read_link(FdRef link) {
    std::array<char, 4096> text{};
    const ssize_t size = ::readlinkat(link.get(), "", text.data(), text.size());
    if (size <= 0 || static_cast<std::size_t>(size) == text.size()) return system_error("readlinkat");
    return std::string(text.data(), static_cast<std::size_t>(size));
}

// A walk from directory to directory. The last one is judged only once it is known to be the end.
struct Walk {
    UniqueFd at;
    std::string rest;   // components still to walk
    std::string place;  // the name of `at` in messages
    int links = 0;

    Status begin_at_root() {
        place.clear();
        at = UniqueFd(::open("/", kStep));
        return at.is_open() ? Status() : system_error("open");
    }

    std::string take_component() {
        const std::size_t end = std::min(rest.find('/'), rest.size());
        std::string name = rest.substr(0, end);
        rest.erase(0, end + 1);
        return name;
    }

    Status step() {
        TRY(judge(at, Part::kOnTheWay));
        const std::string name = take_component();
        if (name.empty()) return {};
        place += "/" + name;
        UniqueFd next(::openat(at.get(), name.c_str(), kStep));
        if (!next.is_open()) return system_error("cannot be opened");
        if (S_ISLNK(TRY(judge(next, Part::kOnTheWay)))) return follow(next);
        at = std::move(next);
        return {};
    }

    Status follow(FdRef link) {
        const std::string target = TRY(read_link(link));
        if (++links > kMostLinks) return failure(Errc::kInvalid, "too many symbolic links");
        rest = target + "/" + rest;
        if (target.starts_with('/')) return begin_at_root();
        place.erase(place.rfind('/'));
        return {};
    }

    // The end is judged, then reopened through its descriptor, so its name is not looked up again.
    Result<UniqueFd> end(int flags) {
        while (!rest.empty()) TRY(step());
        TRY(judge(at, Part::kEnd));
        if (flags == O_PATH) return std::move(at);
        const std::string self = "/proc/self/fd/" + std::to_string(at.get());
        UniqueFd opened(::open(self.c_str(), flags | O_CLOEXEC | O_NOCTTY));
        if (!opened.is_open()) return system_error("cannot be opened");
        return opened;
    }
};

Checked<UniqueFd> open_by(Walk walk, const std::string& path, int flags) {
    auto opened = walk.end(flags);
    // The place is added only if it says more than the path.
    const bool says_more = walk.place != path && !walk.place.empty();
    return about(says_more ? path + " (" + walk.place + ")" : path, std::move(opened));
}

}  // namespace

Checked<UniqueFd> open_trusted(const std::string& path, int flags) {
    if (!path.starts_with('/')) return complaint(Errc::kInvalid, "not an absolute path", path);
    Walk walk{.at = {}, .rest = path, .place = {}};
    TRY(about("/", walk.begin_at_root()));
    return open_by(std::move(walk), path, flags);
}

Checked<UniqueFd> open_trusted_below(const std::string& directory, const std::string& path, int flags) {
    UniqueFd start(::open(directory.c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC));
    if (!start.is_open())
        return std::unexpected(Complaint(system_error("cannot be opened").error(), directory));
    return open_by({.at = std::move(start), .rest = path, .place = directory}, directory + "/" + path, flags);
}

}  // namespace sallyport
