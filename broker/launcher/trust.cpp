// Which files may be started: those that only root (or whoever runs the agent) can change.
// Runs in:  launcher
// Input:    paths of the admin's table and names in the admin's directories
#include "broker/launcher/launcher.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>

namespace sallyport::broker {

namespace {

constexpr int kMostLinks = 16;
constexpr int kFlags = O_PATH | O_NOFOLLOW | O_CLOEXEC;

Result<mode_t> check(FdRef file) {
    struct stat info{};
    if (::fstat(file.get(), &info) != 0) return system_error("fstat");
    const bool is_ours = info.st_uid == 0 || info.st_uid == ::geteuid();
    const bool is_closed = S_ISLNK(info.st_mode) || (info.st_mode & (S_IWGRP | S_IWOTH)) == 0;
    if (!is_ours || !is_closed) return failure(Errc::kProof, "others can change it");
    return info.st_mode;
}

Result<std::string> read_link(FdRef link) {
    std::array<char, 4096> text{};
    const ssize_t size = ::readlinkat(link.get(), "", text.data(), text.size());
    if (size <= 0 || static_cast<std::size_t>(size) == text.size()) return system_error("readlinkat");
    return std::string(text.data(), static_cast<std::size_t>(size));
}

}  // namespace

Result<UniqueFd> open_trusted(const std::string& path) {
    if (!path.starts_with('/')) return failure(Errc::kInvalid, "not an absolute path");
    UniqueFd at(::open("/", kFlags));
    if (const auto root = check(at); !root) return std::unexpected(root.error());
    std::string rest = path;
    for (int links = 0; !rest.empty();) {
        const std::size_t end = std::min(rest.find('/'), rest.size());
        const std::string name = rest.substr(0, end);
        rest.erase(0, end + 1);
        if (name.empty()) continue;
        UniqueFd next(::openat(at.get(), name.c_str(), kFlags));
        if (!next.is_open()) return system_error("openat");
        const auto mode = check(next);
        if (!mode) return std::unexpected(mode.error());
        if (!S_ISLNK(*mode)) {
            at = std::move(next);
            continue;
        }
        const auto target = read_link(next);
        if (!target) return std::unexpected(target.error());
        if (++links > kMostLinks) return failure(Errc::kInvalid, "too many symbolic links");
        if (target->starts_with('/')) at = UniqueFd(::open("/", kFlags));
        rest = *target + "/" + rest;
    }
    return at;
}

}  // namespace sallyport::broker
