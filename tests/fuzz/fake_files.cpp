// Stands in for broker/sys/files.cpp: files that exist in memory only, and fail when told to.
#include "tests/fuzz/fake_files.hpp"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <map>

#include "broker/sys/files.hpp"
#include "ipc/limits.hpp"

namespace sallyport::fuzz {

namespace {

struct Open {
    std::string name;
    std::uint64_t position = 0;
};

struct Files {
    std::map<std::string, std::uint64_t> sizes;
    std::map<int, Open> open;
    int fault = 0;
};

Files& files() {
    static Files all;
    return all;
}

UniqueFd descriptor_of(const std::string& name) {
    UniqueFd fd(::open("/dev/null", O_PATH | O_CLOEXEC));
    files().open[fd.get()] = {.name = name};
    return fd;
}

Open& opened(FdRef fd) {
    return files().open[fd.get()];
}

bool fails() {
    errno = std::exchange(files().fault, 0);
    return errno != 0;
}

}  // namespace

void reset_files() {
    files() = Files{};
    files().sizes = {{"a", 3}, {"b", kChunk * 5 / 2}, {"c", kChunk * 6}};
}

void fail_next_use(int sys_errno) {
    files().fault = sys_errno;
}

std::byte content_of(const std::string& name) {
    return static_cast<std::byte>(name.empty() ? '?' : name.back());
}

}  // namespace sallyport::fuzz

namespace sallyport::broker::sys {

using namespace fuzz;

Result<UniqueFd> find_beneath(FdRef /*tree*/, const std::string& below, Links /*links*/) {
    if (fails()) return system_error("openat2");
    if (!files().sizes.contains(below)) {
        errno = ENOENT;
        return system_error("openat2");
    }
    return descriptor_of(below);
}

Result<UniqueFd> find_directory_beneath(FdRef /*tree*/, const std::string& below, Links /*links*/) {
    if (fails()) return system_error("openat2");
    return descriptor_of(below);
}

Result<UniqueFd> reopen(FdRef /*proc_self_fd*/, FdRef found, const OpenMode& mode) {
    if (fails()) return system_error("open");
    const std::string name = opened(found).name;
    if (mode.truncate) files().sizes[name] = 0;
    return descriptor_of(name);
}

Result<UniqueFd> create(FdRef /*directory*/, const std::string& name, const OpenMode& /*mode*/,
                        std::uint32_t /*bits*/) {
    if (fails()) return system_error("openat");
    files().sizes[name] = 0;
    return descriptor_of(name);
}

Result<bool> is_acceptable(FdRef found, const policy::FileRule& rule) {
    if (fails()) return system_error("fstat");
    return !rule.max_size || files().sizes[opened(found).name] <= *rule.max_size;
}

Result<std::string> path_of(FdRef /*proc_self_fd*/, FdRef found) {
    if (fails()) return system_error("readlink");
    return "/work/" + opened(found).name;
}

Result<ReadResult> read_full(FdRef file, std::span<std::byte> into) {
    if (fails()) return system_error("read");
    Open& open = opened(file);
    const std::uint64_t size = files().sizes[open.name];
    const std::uint64_t left = size > open.position ? size - open.position : 0;
    const std::size_t got = std::min<std::uint64_t>(left, into.size());
    std::ranges::fill(into.first(got), content_of(open.name));
    open.position += got;
    return ReadResult{.size = got, .eof = got < into.size()};
}

Status write_all(FdRef file, std::span<const std::byte> from) {
    if (fails()) return system_error("write");
    Open& open = opened(file);
    open.position += from.size();
    std::uint64_t& size = files().sizes[open.name];
    size = std::max(size, open.position);
    return {};
}

Result<std::uint64_t> write_position(FdRef file, bool append) {
    if (fails()) return system_error("lseek");
    return append ? files().sizes[opened(file).name] : opened(file).position;
}

Result<std::int64_t> seek(FdRef file, std::int64_t offset, int whence) {
    if (fails()) return system_error("lseek");
    Open& open = opened(file);
    const std::uint64_t from = whence == 0 ? 0 : whence == 1 ? open.position : files().sizes[open.name];
    std::int64_t to = 0;
    if (__builtin_add_overflow(static_cast<std::int64_t>(from), offset, &to) || to < 0) {
        errno = EINVAL;
        return system_error("lseek");
    }
    open.position = static_cast<std::uint64_t>(to);
    return to;
}

Status close(UniqueFd file) {
    files().open.erase(file.get());
    if (fails()) return system_error("close");
    return {};
}

}  // namespace sallyport::broker::sys
