#include "inspector/files.hpp"

#include <dirent.h>
#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <memory>
#include <string_view>

namespace sallyport::inspector {

namespace {

// For files of /proc: a mount or a route takes some hundred bytes.
constexpr std::size_t kPart = 65536;
constexpr std::size_t kMaxFile = std::size_t{64} << 20U;

}  // namespace

Result<std::string> read_whole(FdRef file) {
    std::string text;
    if (file.get() < 0) return text;
    for (;;) {
        const std::size_t before = text.size();
        ssize_t got = 0;
        // Most files are short, and only what is read of the room for more is ever touched.
        text.resize_and_overwrite(before + kPart, [&](char* bytes, std::size_t) {
            got = ::pread(file.get(), bytes + before, kPart, static_cast<off_t>(before));
            return before + static_cast<std::size_t>(got > 0 ? got : 0);
        });
        if (got < 0 && errno == EINTR) continue;
        if (got < 0) return system_error("pread");
        if (got == 0) return text;
        if (text.size() > kMaxFile) return failure(Errc::kLimit, "the file is too large");
    }
}

Result<std::string> read_file(const std::string& path) {
    const UniqueFd file(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NOCTTY));
    if (!file.is_open()) return system_error("open");
    return read_whole(file);
}

Result<std::vector<std::string>> names_in(const std::string& path) {
    const std::unique_ptr<DIR, int (*)(DIR*)> directory(::opendir(path.c_str()), ::closedir);
    if (!directory) return system_error("opendir");
    std::vector<std::string> names;
    errno = 0;
    while (const dirent* entry = ::readdir(directory.get())) {
        const std::string_view name(entry->d_name);
        if (name != "." && name != "..") names.emplace_back(name);
    }
    if (errno != 0) return system_error("readdir");
    return names;
}

std::string real_path(const std::string& path) {
    const std::unique_ptr<char, void (*)(void*)> found(::realpath(path.c_str(), nullptr), ::free);
    return found ? found.get() : "";
}

}  // namespace sallyport::inspector
