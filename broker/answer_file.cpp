// Answers guest-file-open, -close, -seek and -flush.
// Runs in:  broker, after lockdown()
// Input:    canonical requests that were in order; their values are still the worker's
// Relies on: policy/decide for which rules cover a path, files/ for finding and judging what is there
#include <fcntl.h>

#include <array>
#include <cerrno>
#include <optional>

#include "broker/answer.hpp"
#include "broker/files/open.hpp"
#include "broker/files/use.hpp"
#include "ipc/limits.hpp"

namespace sallyport::broker {

namespace {

struct ModeRow {
    std::string_view name;
    files::OpenMode mode;
};

constexpr files::OpenMode kRead{.wanted = {.read = true}};
constexpr files::OpenMode kWrite{.wanted = {.write = true}, .may_create = true, .truncate = true};
constexpr files::OpenMode kAppend{.wanted = {.write = true}, .may_create = true, .append = true};
constexpr files::OpenMode kUpdate{.wanted = {.read = true, .write = true}};
constexpr files::OpenMode kRenew{
    .wanted = {.read = true, .write = true}, .may_create = true, .truncate = true};
constexpr files::OpenMode kExtend{
    .wanted = {.read = true, .write = true}, .may_create = true, .append = true};

// fopen(3)'s words; nothing else is a mode.
constexpr std::array kModes{
    ModeRow{"r", kRead},     ModeRow{"rb", kRead},    ModeRow{"w", kWrite},    ModeRow{"wb", kWrite},
    ModeRow{"a", kAppend},   ModeRow{"ab", kAppend},  ModeRow{"r+", kUpdate},  ModeRow{"rb+", kUpdate},
    ModeRow{"r+b", kUpdate}, ModeRow{"w+", kRenew},   ModeRow{"wb+", kRenew},  ModeRow{"w+b", kRenew},
    ModeRow{"a+", kExtend},  ModeRow{"ab+", kExtend}, ModeRow{"a+b", kExtend},
};

std::optional<files::OpenMode> parse_mode(std::string_view raw) {
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

Refusal not_opened(const files::Unopened& why) {
    if (why.sys_errno == 0) return refused(why.why);
    return {.reason = ipc::SYSTEM, .sys_errno = why.sys_errno, .why = why.why};
}

Answer keep(Exchange& exchange, files::Opened opened, const files::OpenMode& mode) {
    Session& session = exchange.session;
    const auto handle = session.handles.take();
    if (!handle)
        return Refusal{.reason = ipc::STATE_NOT_SAVED, .sys_errno = handle.error().sys_errno, .why = "state"};
    const policy::Rule& rule = session.policy.rules[opened.grant.rule];
    const auto max_size = rule.files[opened.grant.file].max_size;
    session.files[*handle] = OpenFile{.fd = std::move(opened.fd),
                                      .rule = rule.id,
                                      .max_size = opened.is_regular ? max_size : std::nullopt,
                                      .expires = rule.expires,
                                      .appends = mode.append,
                                      .opened_by = session.worker.number,
                                      .opened_seq = exchange.request.seq()};
    exchange.request.record.arguments.add("handle", *handle);
    Reply reply;
    reply.mutable_file_open()->set_handle(*handle);
    return reply;
}

}  // namespace

Answer answer_file_open(Exchange& exchange) {
    Session& session = exchange.session;
    const schema::FileOpen& want = exchange.asked.file_open();
    const std::string_view raw_mode = want.has_mode() ? std::string_view(want.mode()) : "r";
    // A longer path is judged by its text alone: nothing of it is opened, and it need not be in the log in
    // full.
    exchange.request.record.arguments.add("path", std::string_view(want.path()).substr(0, kMaxPath));
    exchange.request.record.arguments.add("mode", raw_mode.substr(0, kMaxOpenMode));
    const auto mode = parse_mode(raw_mode);
    if (!mode) return Refusal{.reason = ipc::BAD_MODE, .why = "not an open mode"};
    const auto path = policy::GuestPath::parse(want.path(), session.start_directory);
    if (!path) {
        const bool is_long = path.error().code == Errc::kLimit;
        const int sys_errno = want.path().empty() ? ENOENT : is_long ? ENAMETOOLONG : EINVAL;
        return Refusal{.reason = ipc::SYSTEM, .sys_errno = sys_errno, .why = path.error().what};
    }
    const policy::WallTime now = session.clock.now();
    const auto decision = policy::decide_file_open(session.policy, *path, mode->wanted, now);
    exchange.request.record.rule = rule_id(session.policy, decision);
    if (decision.why == policy::Why::kDenied) return refused("a deny rule matches");
    if (!decision.is_allowed()) return refused("no allow rule covers this path and mode");
    if (session.files.size() >= kMaxOpenFiles)
        return Refusal{.reason = ipc::SYSTEM, .sys_errno = EMFILE, .why = "open files"};
    auto opened = files::open(session.table, {.path = *path,
                                              .mode = *mode,
                                              .grants = decision.grants,
                                              .now = now,
                                              .names_directory = want.path().ends_with('/')});
    if (!opened && opened.error().rule != policy::kNoRule)
        exchange.request.record.rule = session.policy.rules[opened.error().rule].id;
    if (!opened) return not_opened(opened.error());
    exchange.request.record.rule = session.policy.rules[opened->grant.rule].id;
    return keep(exchange, *std::move(opened), *mode);
}

OpenFile* find_file(Exchange& exchange, std::int64_t handle) {
    exchange.request.record.arguments.add("handle", handle);
    const auto at = exchange.session.files.find(handle);
    if (at == exchange.session.files.end()) return nullptr;
    exchange.request.record.rule = at->second.rule;
    // What the rule let be opened ends with the rule.
    if (at->second.expires && exchange.session.clock.now() >= *at->second.expires) {
        exchange.request.record.arguments.add("ended", "the rule has expired");
        exchange.session.files.erase(at);
        return nullptr;
    }
    return &at->second;
}

Refusal bad_handle() {
    return {.reason = ipc::BAD_HANDLE, .why = "no such handle"};
}

Answer answer_file_close(Exchange& exchange) {
    const std::int64_t handle = exchange.asked.file_close().handle();
    OpenFile* file = find_file(exchange, handle);
    if (file == nullptr) return bad_handle();
    UniqueFd fd = std::move(file->fd);
    exchange.session.files.erase(handle);
    if (const auto closed = files::close(std::move(fd)); !closed) return failed(closed.error());
    Reply reply;
    reply.mutable_file_close();
    return reply;
}

Answer answer_file_seek(Exchange& exchange) {
    const schema::FileSeek& want = exchange.asked.file_seek();
    if (want.whence().value_case() != schema::GuestFileWhence::kCode)
        return Violation{"file_seek: whence is not a number"};
    const OpenFile* file = find_file(exchange, want.handle());
    exchange.request.record.arguments.add("offset", want.offset());
    exchange.request.record.arguments.add("whence", want.whence().code());
    if (file == nullptr) return bad_handle();
    const std::int64_t whence = want.whence().code();
    if (whence < 0 || whence > 2) return Refusal{.reason = ipc::BAD_WHENCE, .why = "whence is not 0, 1 or 2"};
    const auto position = files::seek(file->fd, want.offset(), static_cast<int>(whence));
    if (!position) return failed(position.error());
    Reply reply;
    reply.mutable_file_seek()->set_position(*position);
    return reply;
}

// Writes reach the kernel at once, so there is nothing to flush; the answer says whether the handle is good.
Answer answer_file_flush(Exchange& exchange) {
    if (find_file(exchange, exchange.asked.file_flush().handle()) == nullptr) return bad_handle();
    Reply reply;
    reply.mutable_file_flush();
    return reply;
}

}  // namespace sallyport::broker
