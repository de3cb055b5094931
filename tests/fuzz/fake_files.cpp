// Stands in for broker/files/open.cpp and use.cpp: files that exist in memory only, and fail when told to.
#include "tests/fuzz/fake_files.hpp"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <map>

#include "broker/files/open.hpp"
#include "broker/files/use.hpp"
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

Files& fake_state() {
    static Files all;
    return all;
}

UniqueFd descriptor_of(const std::string& name) {
    UniqueFd fd(::open("/dev/null", O_PATH | O_CLOEXEC));
    fake_state().open[fd.get()] = {.name = name};
    return fd;
}

Open& opened(FdRef fd) {
    return fake_state().open[fd.get()];
}

bool fails() {
    errno = std::exchange(fake_state().fault, 0);
    return errno != 0;
}

}  // namespace

void reset_files() {
    fake_state() = Files{};
    fake_state().sizes = {{"a", 3}, {"b", kChunk * 5 / 2}, {"c", kChunk * 6}};
}

void fail_next_use(int sys_errno) {
    fake_state().fault = sys_errno;
}

std::byte content_of(const std::string& name) {
    return static_cast<std::byte>(name.empty() ? '?' : name.back());
}

}  // namespace sallyport::fuzz

namespace sallyport::broker::files {

using namespace fuzz;

Outcome<Opened> open(const Table& table, const Order& order) {
    if (fails()) return std::unexpected(Unopened("openat2", errno));
    const policy::Grant grant = order.grants.front();
    const policy::FileRule& rule = table.policy().rules[grant.rule].files[grant.file];
    const std::string name(order.path.below(rule.under));
    const auto found = fake_state().sizes.find(name);
    if (found == fake_state().sizes.end()) {
        if (!order.mode.may_create) return std::unexpected(Unopened("openat2", ENOENT));
        if (!rule.access.create) return refused("the rule does not let files be created");
        fake_state().sizes[name] = 0;
    } else if (rule.max_size && found->second > *rule.max_size) {
        return refused("the file is too large");
    }
    if (order.mode.truncate) fake_state().sizes[name] = 0;
    return Opened{.fd = descriptor_of(name), .grant = grant, .is_regular = true};
}

Result<ReadResult> read_full(FdRef file, std::span<std::byte> into, std::optional<std::uint64_t> most) {
    if (fails()) return system_error("read");
    Open& open = opened(file);
    const std::uint64_t size = std::min(fake_state().sizes[open.name], most.value_or(UINT64_MAX));
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
    std::uint64_t& size = fake_state().sizes[open.name];
    size = std::max(size, open.position);
    return {};
}

Result<std::uint64_t> write_position(FdRef file, bool append) {
    if (fails()) return system_error("lseek");
    return append ? fake_state().sizes[opened(file).name] : opened(file).position;
}

Result<std::int64_t> seek(FdRef file, std::int64_t offset, int whence) {
    if (fails()) return system_error("lseek");
    Open& open = opened(file);
    const std::uint64_t from = whence == 0 ? 0 : whence == 1 ? open.position : fake_state().sizes[open.name];
    std::int64_t to = 0;
    if (__builtin_add_overflow(static_cast<std::int64_t>(from), offset, &to) || to < 0) {
        errno = EINVAL;
        return system_error("lseek");
    }
    open.position = static_cast<std::uint64_t>(to);
    return to;
}

Status close(UniqueFd file) {
    fake_state().open.erase(file.get());
    if (fails()) return system_error("close");
    return {};
}

}  // namespace sallyport::broker::files
