#include "policy/tool/verbs/files.hpp"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>

#include "policy/tool/compile/problems.hpp"

namespace sallyport::policy::cli {

Result<UniqueFd> open_to_read(const std::string& path) {
    UniqueFd file(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NOCTTY));
    if (!file.is_open()) return system_error("cannot be opened");
    return file;
}

Result<UniqueFd> standard_input() {
    UniqueFd file(::fcntl(STDIN_FILENO, F_DUPFD_CLOEXEC, 3));
    if (!file.is_open()) return system_error("standard input");
    return file;
}

Result<UniqueFd> open_to_write(const std::string& path) {
    UniqueFd file(::open(path.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOCTTY, 0666));
    if (!file.is_open()) return system_error("cannot be written");
    return file;
}

Result<std::string> read_all(FdRef file, std::size_t limit) {
    std::string text;
    std::array<char, 65536> buffer{};
    while (text.size() <= limit) {
        const ssize_t count =
            ::read(file.get(), buffer.data(), std::min(buffer.size(), limit + 1 - text.size()));
        if (count < 0 && errno == EINTR) continue;
        if (count < 0) return system_error("cannot be read");
        if (count == 0) return text;
        text.append(buffer.data(), static_cast<std::size_t>(count));
    }
    return failure(Errc::kLimit, "too long");
}

Status write_all(FdRef file, std::string_view bytes) {
    while (!bytes.empty()) {
        const ssize_t count = ::write(file.get(), bytes.data(), bytes.size());
        if (count < 0 && errno == EINTR) continue;
        if (count < 0) return system_error("cannot be written");
        bytes.remove_prefix(static_cast<std::size_t>(count));
    }
    return {};
}

void print(std::string_view text) {
    static_cast<void>(write_all(FdRef(STDOUT_FILENO), text));
}

void complain(std::string_view text) {
    static_cast<void>(write_all(FdRef(STDERR_FILENO), text));
}

std::string describe(std::string_view name, const Error& error) {
    std::string text = "sallyport-policy: " + compile::printable(name) + ": " + error.what;
    if (error.sys_errno != 0) text.append(": ").append(std::strerror(error.sys_errno));
    return text + "\n";
}

}  // namespace sallyport::policy::cli
