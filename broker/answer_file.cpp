// Answers guest-file-open, -close, -seek and -flush.
// Runs in:  broker, after lockdown()
// Input:    canonical requests that were in order; their values are still the worker's
// Relies on: policy/decide for which rules cover a path, sys/files for the inode checks
#include <fcntl.h>

#include <array>
#include <cerrno>
#include <optional>

#include "broker/answer.hpp"
#include "broker/sys/files.hpp"
#include "ipc/limits.hpp"

namespace sallyport::broker {

namespace {

struct ModeRow {
    std::string_view name;
    sys::OpenMode mode;
};

constexpr sys::OpenMode kRead{.wanted = {.read = true}};
constexpr sys::OpenMode kWrite{.wanted = {.write = true}, .may_create = true, .truncate = true};
constexpr sys::OpenMode kAppend{.wanted = {.write = true}, .may_create = true, .append = true};
constexpr sys::OpenMode kUpdate{.wanted = {.read = true, .write = true}};
constexpr sys::OpenMode kRenew{.wanted = {.read = true, .write = true}, .may_create = true, .truncate = true};
constexpr sys::OpenMode kExtend{.wanted = {.read = true, .write = true}, .may_create = true, .append = true};

// fopen(3)'s words; nothing else is a mode.
constexpr std::array kModes{
    ModeRow{"r", kRead},     ModeRow{"rb", kRead},    ModeRow{"w", kWrite},    ModeRow{"wb", kWrite},
    ModeRow{"a", kAppend},   ModeRow{"ab", kAppend},  ModeRow{"r+", kUpdate},  ModeRow{"rb+", kUpdate},
    ModeRow{"r+b", kUpdate}, ModeRow{"w+", kRenew},   ModeRow{"wb+", kRenew},  ModeRow{"w+b", kRenew},
    ModeRow{"a+", kExtend},  ModeRow{"ab+", kExtend}, ModeRow{"a+b", kExtend},
};

std::optional<sys::OpenMode> parse_mode(std::string_view raw) {
    for (const ModeRow& row : kModes)
        if (row.name == raw) return row.mode;
    return std::nullopt;
}

Refusal refused(const char* why) {
    return {.reason = ipc::REFUSED, .why = why};
}
Refusal failed(const Error& error) {
    return {.reason = ipc::SYSTEM, .sys_errno = error.sys_errno, .why = error.what};
}

// A link or the edge of the tree on the way is the policy's business, not an error of the file system.
Refusal not_found(const Error& error) {
    if (error.sys_errno == ELOOP || error.sys_errno == EXDEV)
        return refused("a symbolic link or the edge of the tree");
    return failed(error);
}

sys::Links links_of(const policy::FileRule& rule) {
    if (!rule.follow_symlinks) return sys::Links::kRefuse;
    return rule.under == "/" ? sys::Links::kFollowInRoot : sys::Links::kFollowBeneath;
}

struct Wanted {
    const policy::GuestPath& path;
    const sys::OpenMode& mode;
};

// One attempt to open it, under one file rule.
struct Attempt {
    Session& session;
    const policy::FileRule& rule;
    FdRef tree;
    const Wanted& wanted;
};

using Opened = std::expected<UniqueFd, Refusal>;

policy::Access creating(const sys::OpenMode& mode) {
    policy::Access access = mode.wanted;
    access.create = true;
    return access;
}

// THREAT: where links are followed, a link leads from an allowed name to a file that a deny rule names. The
// path that the kernel ended at is judged like the one that the host asked for.
std::expected<void, Refusal> judge_again(const Attempt& attempt, FdRef found, std::string_view name) {
    if (!attempt.rule.follow_symlinks) return {};
    auto real = sys::path_of(attempt.session.proc_self_fd, found);
    if (!real) return std::unexpected(failed(real.error()));
    if (!name.empty()) real->append("/").append(name);
    const auto path = policy::GuestPath::parse(*real, "/");
    if (!path) return std::unexpected(refused("a link leads to no usable path"));
    const sys::OpenMode& mode = attempt.wanted.mode;
    const policy::Access access = name.empty() ? mode.wanted : creating(mode);
    const auto decision =
        policy::decide_file_open(attempt.session.policy, *path, access, attempt.session.clock.now());
    if (!decision.is_allowed()) return std::unexpected(refused("a link leads out of what is allowed"));
    return {};
}

Opened open_existing(const Attempt& attempt, FdRef found) {
    if (auto judged = judge_again(attempt, found, {}); !judged) return std::unexpected(judged.error());
    const auto acceptable = sys::is_acceptable(found, attempt.rule);
    if (!acceptable) return std::unexpected(failed(acceptable.error()));
    if (!*acceptable)
        return std::unexpected(refused("the file is not of a kind, owner or size that the rule accepts"));
    auto file = sys::reopen(attempt.session.proc_self_fd, found, attempt.wanted.mode);
    if (!file) return std::unexpected(failed(file.error()));
    return *std::move(file);
}

Opened create_new(const Attempt& attempt) {
    if (!attempt.rule.access.create)
        return std::unexpected(refused("the rule does not let files be created"));
    // Judged once more, now that it is known that the file is not there: a deny rule may be about new files only.
    const auto& [path, mode] = attempt.wanted;
    if (!policy::decide_file_open(attempt.session.policy, path, creating(mode), attempt.session.clock.now())
             .is_allowed())
        return std::unexpected(refused("a deny rule is about new files here"));
    const std::string_view below = attempt.wanted.path.below(attempt.rule.under);
    const std::size_t slash = below.rfind('/');
    const std::string parent(slash == below.npos ? "." : below.substr(0, slash));
    const std::string name(slash == below.npos ? below : below.substr(slash + 1));
    const auto directory = sys::find_directory_beneath(attempt.tree, parent, links_of(attempt.rule));
    if (!directory) return std::unexpected(not_found(directory.error()));
    if (auto judged = judge_again(attempt, *directory, name); !judged) return std::unexpected(judged.error());
    auto file = sys::create(*directory, name, attempt.wanted.mode, attempt.rule.create_mode);
    if (!file) return std::unexpected(failed(file.error()));
    return *std::move(file);
}

Opened try_open(const Attempt& attempt) {
    const std::string below(attempt.wanted.path.below(attempt.rule.under));
    const auto found = sys::find_beneath(attempt.tree, below, links_of(attempt.rule));
    if (found) return open_existing(attempt, *found);
    if (found.error().sys_errno == ENOENT && attempt.wanted.mode.may_create) return create_new(attempt);
    return std::unexpected(not_found(found.error()));
}

// The first grant whose inode checks agree, named in `used`. If none does, the host hears of the one for the deepest
// directory.
Opened open_by_grants(Session& session, const std::vector<policy::Grant>& grants, const Wanted& wanted,
                      policy::Grant& used) {
    std::optional<Refusal> first;
    for (const policy::Grant& grant : grants) {
        const UniqueFd& tree = session.trees[grant.rule][grant.file];
        const policy::FileRule& rule = session.policy.rules[grant.rule].files[grant.file];
        Opened opened = std::unexpected(refused("the rule's directory did not exist at start"));
        if (tree.is_open()) opened = try_open({session, rule, tree, wanted});
        if (opened || !first) used = grant;
        if (opened) return opened;
        if (!first) first = opened.error();
    }
    return std::unexpected(first.value_or(refused("no rule matches")));
}

Answer keep(Exchange& exchange, UniqueFd file, const policy::Grant& grant, const sys::OpenMode& mode) {
    Session& session = exchange.session;
    const auto handle = session.handles.take();
    if (!handle)
        return Refusal{.reason = ipc::STATE_NOT_SAVED, .sys_errno = handle.error().sys_errno, .why = "state"};
    const policy::Rule& rule = session.policy.rules[grant.rule];
    session.files[*handle] = OpenFile{.fd = std::move(file),
                                      .rule = rule.id,
                                      .max_size = rule.files[grant.file].max_size,
                                      .appends = mode.append,
                                      .opened_by = session.worker.number,
                                      .opened_seq = exchange.request.seq()};
    exchange.record.arguments.add("handle", *handle);
    exchange.reply.mutable_file_open()->set_handle(*handle);
    return Done{};
}

}  // namespace

Answer answer_file_open(Exchange& exchange) {
    Session& session = exchange.session;
    const schema::FileOpen& want = exchange.request.file_open();
    const std::string_view raw_mode = want.has_mode() ? std::string_view(want.mode()) : "r";
    // A longer path is judged by its text alone: nothing of it is opened, and it need not be in the log in
    // full.
    exchange.record.arguments.add("path", std::string_view(want.path()).substr(0, kMaxPath));
    exchange.record.arguments.add("mode", raw_mode.substr(0, kMaxOpenMode));
    const auto mode = parse_mode(raw_mode);
    if (!mode) return Refusal{.reason = ipc::BAD_MODE, .why = "not an open mode"};
    const auto path = policy::GuestPath::parse(want.path(), session.start_directory);
    if (!path) {
        const bool is_long = path.error().code == Errc::kLimit;
        const int sys_errno = want.path().empty() ? ENOENT : is_long ? ENAMETOOLONG : EINVAL;
        return Refusal{.reason = ipc::SYSTEM, .sys_errno = sys_errno, .why = path.error().what};
    }
    const auto decision = policy::decide_file_open(session.policy, *path, mode->wanted, session.clock.now());
    exchange.record.rule = rule_id(session.policy, decision);
    if (decision.why == policy::Why::kDenied) return refused("a deny rule matches");
    if (!decision.is_allowed()) return refused("no allow rule covers this path and mode");
    if (session.files.size() >= kMaxOpenFiles)
        return Refusal{.reason = ipc::SYSTEM, .sys_errno = EMFILE, .why = "open files"};
    policy::Grant grant;
    auto file = open_by_grants(session, decision.grants, {*path, *mode}, grant);
    exchange.record.rule = session.policy.rules[grant.rule].id;
    if (!file) return file.error();
    return keep(exchange, *std::move(file), grant, *mode);
}

OpenFile* find_file(Exchange& exchange, std::int64_t handle) {
    exchange.record.arguments.add("handle", handle);
    const auto at = exchange.session.files.find(handle);
    if (at == exchange.session.files.end()) return nullptr;
    exchange.record.rule = at->second.rule;
    return &at->second;
}

Refusal bad_handle() {
    return {.reason = ipc::BAD_HANDLE, .why = "no such handle"};
}

Answer answer_file_close(Exchange& exchange) {
    const std::int64_t handle = exchange.request.file_close().handle();
    OpenFile* file = find_file(exchange, handle);
    if (file == nullptr) return bad_handle();
    UniqueFd fd = std::move(file->fd);
    exchange.session.files.erase(handle);
    if (const auto closed = sys::close(std::move(fd)); !closed) return failed(closed.error());
    exchange.reply.mutable_file_close();
    return Done{};
}

Answer answer_file_seek(Exchange& exchange) {
    const schema::FileSeek& want = exchange.request.file_seek();
    if (want.whence().value_case() != schema::GuestFileWhence::kCode)
        return Violation{"file_seek: whence is not a number"};
    const OpenFile* file = find_file(exchange, want.handle());
    exchange.record.arguments.add("offset", want.offset());
    exchange.record.arguments.add("whence", want.whence().code());
    if (file == nullptr) return bad_handle();
    const std::int64_t whence = want.whence().code();
    if (whence < 0 || whence > 2) return Refusal{.reason = ipc::BAD_WHENCE, .why = "whence is not 0, 1 or 2"};
    const auto position = sys::seek(file->fd, want.offset(), static_cast<int>(whence));
    if (!position) return failed(position.error());
    exchange.reply.mutable_file_seek()->set_position(*position);
    return Done{};
}

// Writes reach the kernel at once, so there is nothing to flush; the answer says whether the handle is good.
Answer answer_file_flush(Exchange& exchange) {
    if (find_file(exchange, exchange.request.file_flush().handle()) == nullptr) return bad_handle();
    exchange.reply.mutable_file_flush();
    return Done{};
}

}  // namespace sallyport::broker
