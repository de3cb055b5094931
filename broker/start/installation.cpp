// Runs in:  starter
#include "broker/start/installation.hpp"

#include <fcntl.h>
#include <pwd.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <memory>
#include <string>
#include <string_view>

#include "base/trusted_file.hpp"
#include "policy/guest_path.hpp"

namespace sallyport::starter {

namespace {

constexpr const char* kNoUser =
    "there is no user sallyport: make it with 'systemd-sysusers', or with 'useradd --system sallyport'";

Result<std::string> own_directory() {
    std::string path(4096, '\0');
    const ssize_t size = ::readlink("/proc/self/exe", path.data(), path.size());
    if (size <= 0 || static_cast<std::size_t>(size) == path.size()) return system_error("/proc/self/exe");
    path.resize(static_cast<std::size_t>(size));
    return path.substr(0, path.rfind('/'));
}

}  // namespace

Result<PlainUser> plain_user() {
    if (::geteuid() != 0) return PlainUser{.uid = ::geteuid(), .gid = ::getegid()};
    // Read directly: the name service could load libraries and use the network.
    const std::unique_ptr<std::FILE, int (*)(std::FILE*)> file(std::fopen("/etc/passwd", "re"), std::fclose);
    while (file) {
        const passwd* entry = ::fgetpwent(file.get());
        if (entry == nullptr) break;
        if (std::string_view(entry->pw_name) == "sallyport" && entry->pw_uid != 0 && entry->pw_gid != 0)
            return PlainUser{.uid = entry->pw_uid, .gid = entry->pw_gid};
    }
    return failure(Errc::kSystem, kNoUser);
}

Checked<Executable> open_program(const Process& row) {
    const std::string directory = TRY(own_directory());
    Checked<UniqueFd> file = failure(Errc::kInvalid, "no place to look for a program");
    for (const char* place : row.places) {
        file = open_trusted_below(directory, place, O_RDONLY);
        if (file) return Executable{.file = *std::move(file), .path = directory + "/" + place};
        if (file.error().error.sys_errno != ENOENT) break;
    }
    return std::unexpected(file.error());
}

Result<std::vector<std::string>> installed_programs() {
    const std::string directory = TRY(own_directory());
    std::vector<const char*> places{"sallyportd", "../libexec/sallyport"};
    for (const Process& row : kProcesses) places.insert(places.end(), row.places.begin(), row.places.end());
    std::vector<std::string> paths;
    for (const char* place : places)
        if (const auto path = policy::GuestPath::parse(place, directory)) paths.emplace_back(path->text());
    return paths;
}

}  // namespace sallyport::starter
