// Stands in for broker/files/open.cpp and use.cpp: files that exist in memory only, and fail when told to. All are below /work.
#include "tests/fuzz/fake_files.hpp"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <map>

#include "broker/files/open.hpp"
#include "broker/files/use.hpp"
#include "ipc/limits.hpp"
#include "tests/fuzz/draw.hpp"

namespace sallyport::fuzz {

namespace {

struct Open {
    std::string name;
    bool appends = false;
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

Open& opened(FdRef fd) {
    const auto at = files().open.find(fd.get());
    promise(at != files().open.end(), "only an open file is used");
    return at->second;
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

std::byte content_of(const std::string& path) {
    const auto parsed = policy::GuestPath::parse(path, "/");
    return static_cast<std::byte>(parsed ? parsed->text().back() : '?');
}

}  // namespace sallyport::fuzz

namespace sallyport::broker::files {

using fuzz::fails;
using fuzz::opened;

namespace {

// Under one grant. The name may be new.
Outcome<void> try_open(const Order& order, const policy::FileRule& rule, const std::string& name) {
    auto& sizes = fuzz::files().sizes;
    if (name == ".") return refused("a directory");
    if (!sizes.contains(name)) {
        if (!order.mode.may_create) return std::unexpected(Unopened("nothing has that name", ENOENT));
        if (!rule.access.create) return refused("the rule does not let files be created");
        if (order.names_directory) return std::unexpected(Unopened("a new file is no directory", EISDIR));
        sizes[name] = 0;
        return {};
    }
    if (rule.max_size && sizes[name] > *rule.max_size) return refused("too large");
    if (order.names_directory) return std::unexpected(Unopened("not a directory", ENOTDIR));
    if (order.mode.truncate) sizes[name] = 0;
    return {};
}

}  // namespace

Outcome<Opened> open(const Table& table, const Order& order) {
    fuzz::promise(order.path.is_within("/work") && !order.path.is_within("/work/denied"),
                  "nothing is looked for where the policy allows nothing");
    if (fails()) return std::unexpected(Unopened("openat2", errno));
    const std::string name(order.path.below("/work"));
    std::optional<Unopened> first;
    for (const policy::Grant& grant : order.grants) {
        if (auto tried = try_open(order, table.policy().rules[grant.rule].files[grant.file], name); !tried) {
            if (!first) first = tried.error();
            continue;
        }
        UniqueFd fd(::open("/dev/null", O_PATH | O_CLOEXEC));
        fuzz::files().open[fd.get()] = {.name = name, .appends = order.mode.append};
        return Opened{.fd = std::move(fd), .grant = grant, .is_regular = true};
    }
    fuzz::promise(first.has_value(), "an order has a grant");
    return std::unexpected(*first);
}

Result<ReadResult> read_full(FdRef file, std::span<std::byte> into, std::optional<std::uint64_t> most) {
    if (fails()) return system_error("read");
    fuzz::Open& open = opened(file);
    const std::uint64_t size = fuzz::files().sizes[open.name];
    const std::uint64_t end = std::min(size, most.value_or(size));
    if (open.position >= end && size > end) {
        errno = EFBIG;
        return system_error("read");
    }
    const std::uint64_t left = end > open.position ? end - open.position : 0;
    const std::size_t got = std::min<std::uint64_t>(left, into.size());
    std::ranges::fill(into.first(got), fuzz::content_of("/work/" + open.name));
    open.position += got;
    return ReadResult{.size = got, .eof = got < into.size() && end == size};
}

Written write_all(FdRef file, std::span<const std::byte> from) {
    if (fails()) return {.size = 0, .sys_errno = errno};
    fuzz::Open& open = opened(file);
    std::uint64_t& size = fuzz::files().sizes[open.name];
    if (open.appends) open.position = size;
    open.position += from.size();
    size = std::max(size, open.position);
    return {.size = from.size()};
}

Result<std::uint64_t> write_position(FdRef file, bool append) {
    if (fails()) return system_error("lseek");
    return append ? fuzz::files().sizes[opened(file).name] : opened(file).position;
}

Result<std::int64_t> seek(FdRef file, std::int64_t offset, int whence) {
    if (fails()) return system_error("lseek");
    fuzz::Open& open = opened(file);
    const std::uint64_t from = whence == 0 ? 0 : whence == 1 ? open.position : fuzz::files().sizes[open.name];
    std::int64_t to = 0;
    if (__builtin_add_overflow(static_cast<std::int64_t>(from), offset, &to) || to < 0) {
        errno = EINVAL;
        return system_error("lseek");
    }
    open.position = static_cast<std::uint64_t>(to);
    return to;
}

Status close(UniqueFd file) {
    fuzz::files().open.erase(file.get());
    if (fails()) return system_error("close");
    return {};
}

}  // namespace sallyport::broker::files
