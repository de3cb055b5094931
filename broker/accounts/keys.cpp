// A user's authorized_keys, below his home directory.
// Runs in:  a child of the launcher that has become the user
// Input:    what he has there, and does there at the same time
#include <fcntl.h>
#include <linux/openat2.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>

#include "base/result.hpp"
#include "base/unique_fd.hpp"
#include "broker/accounts/child.hpp"
#include "broker/accounts/lines.hpp"
#include "ipc/limits.hpp"
#include "sandbox/lockdown.hpp"

namespace sallyport::accounts {

namespace {

using ipc::AccountDone;

constexpr const char* kDirectory = ".ssh";
constexpr const char* kFile = "authorized_keys";
constexpr const char* kNewFile =
    ".authorized_keys.sallyport";  // a name of its own, so that what a kill leaves is used again
constexpr mode_t kDirectoryMode = 0700;
constexpr mode_t kFileMode = 0600;

// No link is followed, whoever made it, and nothing is waited for that is not a regular file.
UniqueFd open_in(FdRef directory, const char* name, int flags, mode_t mode = 0) {
    const open_how how{.flags = static_cast<unsigned>(flags | O_NONBLOCK | O_NOCTTY | O_CLOEXEC),
                       .mode = mode,
                       .resolve = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS};
    return UniqueFd(static_cast<int>(::syscall(SYS_openat2, directory.get(), name, &how, sizeof how)));
}

Result<UniqueFd> open_directory(FdRef home) {
    UniqueFd directory = open_in(home, kDirectory, O_RDONLY | O_DIRECTORY);
    return directory.is_open() ? Result<UniqueFd>(std::move(directory)) : system_error("open");
}

Result<UniqueFd> make_directory(FdRef home) {
    auto directory = open_directory(home);
    if (directory || directory.error().sys_errno != ENOENT) return directory;
    const bool is_made = ::mkdirat(home.get(), kDirectory, kDirectoryMode) == 0;
    if (!is_made && errno != EEXIST) return system_error("mkdirat");
    directory = open_directory(home);
    // A default access list may have given others more.
    if (is_made && directory && ::fchmod(directory->get(), kDirectoryMode) != 0)
        return system_error("fchmod");
    return directory;
}

// THREAT: the file is a pipe, a device, a directory, or has no end.
Result<std::string> read_keys(FdRef directory) {
    const UniqueFd file = open_in(directory, kFile, O_RDONLY);
    struct stat info{};
    if (!file.is_open() || ::fstat(file.get(), &info) != 0) return system_error("open");
    if (!S_ISREG(info.st_mode))
        return std::unexpected(Error{Errc::kSystem, "no file", S_ISDIR(info.st_mode) ? EISDIR : EINVAL});
    std::string text(kMaxKeysFile + 1, '\0');
    std::size_t size = 0;
    ssize_t got = 1;
    while (got > 0 && size < text.size()) {
        got = ::read(file.get(), text.data() + size, text.size() - size);
        if (got < 0) return system_error("read");
        size += static_cast<std::size_t>(got);
    }
    text.resize(size);
    if (size > kMaxKeysFile) return std::unexpected(Error{Errc::kLimit, "too long", EFBIG});
    // What follows a NUL qemu-ga loses.
    if (text.find('\0') != text.npos) return std::unexpected(Error{Errc::kInvalid, "no text", EILSEQ});
    return text;
}

Status fill(FdRef file, std::string_view text) {
    if (::fchmod(file.get(), kFileMode) != 0) return system_error("fchmod");
    while (!text.empty()) {
        const ssize_t put = ::write(file.get(), text.data(), text.size());
        if (put < 0) return system_error("write");
        text.remove_prefix(static_cast<std::size_t>(put));
    }
    return ::fsync(file.get()) == 0 ? Status() : system_error("fsync");
}

// INVARIANT: whoever reads the file, and whenever this stops, it is the old one or the new one, whole.
Status write_keys(FdRef directory, std::string_view text) {
    ::unlinkat(directory.get(), kNewFile, 0);
    const UniqueFd file = open_in(directory, kNewFile, O_WRONLY | O_CREAT | O_EXCL, kFileMode);
    if (!file.is_open()) return system_error("open");
    Status done = fill(file, text);
    if (done && ::renameat(directory.get(), kNewFile, directory.get(), kFile) != 0)
        done = system_error("renameat");
    if (!done) {
        ::unlinkat(directory.get(), kNewFile, 0);
        return done;
    }
    return ::fsync(directory.get()) == 0 ? Status() : system_error("fsync");
}

AccountDone list(FdRef home) {
    const auto directory = open_directory(home);
    if (!directory) return done_as(AccountDone::NOT_READ, directory.error().sys_errno);
    const auto text = read_keys(*directory);
    if (!text) return done_as(AccountDone::NOT_READ, text.error().sys_errno);
    AccountDone done = done_as(AccountDone::DONE);
    for (std::string& key : shown_of(split(*text))) done.add_lines(std::move(key));
    return done;
}

AccountDone put(FdRef directory, const Lines& lines) {
    const std::string text = join(lines);
    if (text.size() > kMaxKeysFile) return done_as(AccountDone::TOO_LARGE);
    const auto written = write_keys(directory, text);
    return written ? done_as(AccountDone::DONE)
                   : done_as(AccountDone::NOT_WRITTEN, written.error().sys_errno);
}

AccountDone add_keys(FdRef home, const ipc::AccountOrder::Keys& keys, std::size_t most) {
    const auto directory = make_directory(home);
    if (!directory) return done_as(AccountDone::NO_DIRECTORY, directory.error().sys_errno);
    Lines lines;
    if (!keys.reset()) {
        const auto text = read_keys(*directory);
        if (!text && text.error().sys_errno != ENOENT)
            return done_as(AccountDone::NOT_READ, text.error().sys_errno);
        if (text) lines = split(*text);
    }
    const bool has_more = add(lines, {keys.lines().begin(), keys.lines().end()});
    if (has_more && count_keys(lines) > most) return done_as(AccountDone::TOO_MANY);
    return put(*directory, lines);
}

AccountDone remove_keys(FdRef home, const ipc::AccountOrder::Keys& keys) {
    const auto directory = open_directory(home);
    const auto text =
        directory ? read_keys(*directory) : Result<std::string>(std::unexpected(directory.error()));
    if (!text && text.error().sys_errno == ENOENT) return done_as(AccountDone::DONE);
    if (!text) return done_as(AccountDone::NOT_READ, text.error().sys_errno);
    Lines lines = split(*text);
    remove(lines, {keys.lines().begin(), keys.lines().end()});
    return put(*directory, lines);
}

AccountDone work_below(FdRef home, const ipc::AccountTemplate& by, const ipc::AccountOrder& order) {
    if (order.has_add()) return add_keys(home, order.add(), by.max_keys());
    return order.has_remove() ? remove_keys(home, order.remove()) : list(home);
}

}  // namespace

AccountDone work_on_keys(const ipc::AccountTemplate& by, const ipc::AccountOrder& order,
                         const std::string& path) {
    const std::string directory = path + "/" + kDirectory;
    const UniqueFd home(path.empty() ? -1 : ::open(path.c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC));
    const int error = home.is_open() ? 0 : path.empty() ? ENOENT : errno;
    AccountDone done;
    if (error == 0) {
        // It writes below his home directory only, even by another user's link.
        const int tree = home.get();
        const auto confined = sandbox::confine_program({&tree, 1});
        done = confined ? work_below(home, by, order)
                        : done_as(AccountDone::NOT_STARTED, confined.error().sys_errno);
    } else if (order.has_remove() && error == ENOENT) {
        done = done_as(AccountDone::DONE);
    } else {
        done = done_as(order.has_add() ? AccountDone::NO_DIRECTORY : AccountDone::NOT_READ, error);
    }
    done.set_file(done.kind() == AccountDone::NO_DIRECTORY ? directory : directory + "/" + kFile);
    return done;
}

}  // namespace sallyport::accounts
