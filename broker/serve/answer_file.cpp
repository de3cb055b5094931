// Answers guest-file-open, -close, -seek and -flush.
// Runs in:  broker, after lockdown()
// Input:    canonical requests that were in order; their values still come from the worker
// Relies on: policy/decide for which rules cover a path, files/ for finding and judging what is there
#include <fcntl.h>

#include <array>
#include <cerrno>
#include <optional>

#include "broker/files/order.hpp"
#include "broker/serve/answer.hpp"
#include "broker/serve/file_work.hpp"
#include "ipc/limits.hpp"

namespace sallyport::broker {

namespace {

struct OpenMode {
    std::string_view name;
    ipc::OpenOrder::Mode mode;
};

// The words of fopen(3); nothing else is a mode.
constexpr std::array kOpenModes{
    OpenMode{"r", ipc::OpenOrder::READ},     OpenMode{"rb", ipc::OpenOrder::READ},
    OpenMode{"w", ipc::OpenOrder::WRITE},    OpenMode{"wb", ipc::OpenOrder::WRITE},
    OpenMode{"a", ipc::OpenOrder::APPEND},   OpenMode{"ab", ipc::OpenOrder::APPEND},
    OpenMode{"r+", ipc::OpenOrder::UPDATE},  OpenMode{"rb+", ipc::OpenOrder::UPDATE},
    OpenMode{"r+b", ipc::OpenOrder::UPDATE}, OpenMode{"w+", ipc::OpenOrder::RENEW},
    OpenMode{"wb+", ipc::OpenOrder::RENEW},  OpenMode{"w+b", ipc::OpenOrder::RENEW},
    OpenMode{"a+", ipc::OpenOrder::EXTEND},  OpenMode{"ab+", ipc::OpenOrder::EXTEND},
    OpenMode{"a+b", ipc::OpenOrder::EXTEND},
};

std::optional<ipc::OpenOrder::Mode> parse_mode(std::string_view raw) {
    for (const OpenMode& row : kOpenModes)
        if (row.name == raw) return row.mode;
    return std::nullopt;
}

std::string_view mode_of(const schema::FileOpen& want) {
    return want.has_mode() ? std::string_view(want.mode()) : "r";
}

Refusal refused(const char* why) {
    return {.reason = ipc::REFUSED, .why = why};
}
Refusal failed(const Error& error) {
    return {.reason = ipc::SYSTEM, .sys_errno = error.sys_errno, .why = error.what};
}

}  // namespace

// A longer path is only judged as text, never opened, so it need not be logged in full.
void describe_file_open(const Exchange& exchange, JsonLine& arguments) {
    const schema::FileOpen& want = exchange.asked.file_open();
    arguments.add("path", std::string_view(want.path()).substr(0, kMaxPath));
    arguments.add("mode", mode_of(want).substr(0, kMaxOpenMode));
}

Ruling judge_file_open(const Judging& by, const Exchange& exchange) {
    const schema::FileOpen& want = exchange.asked.file_open();
    const auto mode = parse_mode(mode_of(want));
    const auto path = policy::GuestPath::parse(want.path(), exchange.session.start_directory);
    if (!mode || !path) return {};
    const auto decision = policy::decide_file_open(by.policy, *path, files::to_open_mode(*mode)->wanted,
                                                   exchange.session.clock.now());
    return {.is_allowed = decision.is_allowed(), .rule = rule_id(by.policy, decision)};
}

Answer answer_file_open(Exchange& exchange) {
    Session& session = exchange.session;
    const schema::FileOpen& want = exchange.asked.file_open();
    describe_file_open(exchange, exchange.request.record.arguments);
    const auto mode = parse_mode(mode_of(want));
    if (!mode) return Refusal{.reason = ipc::BAD_MODE, .why = "not an open mode"};
    const auto path = policy::GuestPath::parse(want.path(), session.start_directory);
    if (!path) {
        const bool is_long = path.error().code == Errc::kLimit;
        const int sys_errno = want.path().empty() ? ENOENT : is_long ? ENAMETOOLONG : EINVAL;
        return Refusal{.reason = ipc::SYSTEM, .sys_errno = sys_errno, .why = path.error().what};
    }
    const Moment now = session.clock.now();
    auto decision = policy::decide_file_open(session.policy, *path, files::to_open_mode(*mode)->wanted, now);
    exchange.request.record.rule = rule_id(session.policy, decision);
    if (decision.why == policy::Why::kDenied) return refused("a deny rule matches");
    if (!decision.is_allowed()) return refused("no allow rule covers this path and mode");
    if (session.files.size() >= kMaxOpenFiles)
        return Refusal{.reason = ipc::SYSTEM, .sys_errno = EMFILE, .why = "open files"};
    if (auto refusal = take_request(exchange, decision.rule)) return *refusal;
    FileTask task{.grants = std::move(decision.grants)};
    ipc::OpenOrder& order = *task.order.mutable_open();
    order.set_path(std::string(path->text()));
    order.set_mode(*mode);
    order.set_names_directory(want.path().ends_with('/'));
    return begin_work(exchange, std::move(task));
}

// The denial goes by the name of the place alone: what else denies a file was judged when it was opened.
bool may_be_used(const Session& session, const OpenFile& file) {
    const Moment now = session.clock.now();
    if (!policy::is_live(session.policy.rules[file.by], now)) return false;
    return !file.place || policy::decide_file_open(session.policy, *file.place, file.access, now).why !=
                              policy::Why::kDenied;
}

OpenFile* find_file(Exchange& exchange, std::int64_t handle) {
    exchange.request.record.arguments.add("handle", handle);
    const auto at = exchange.session.files.find(handle);
    if (at == exchange.session.files.end()) return nullptr;
    exchange.request.record.rule = at->second.rule;
    // An open file ends with the rule that allowed it, and when one denies it.
    if (!may_be_used(exchange.session, at->second)) {
        exchange.request.record.arguments.add(
            "ended", "the rule has expired, or its hours are over, or a deny rule counts");
        drop_file(exchange.session, handle);
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
    FileTask task{.file = std::move(file->fd), .clerk = file->clerk};
    task.order.mutable_close();
    exchange.session.files.erase(handle);
    return begin_work(exchange, std::move(task));
}

Answer answer_file_seek(Exchange& exchange) {
    const schema::FileSeek& want = exchange.asked.file_seek();
    if (want.whence().value_case() != schema::GuestFileWhence::kCode)
        return Violation{"file_seek: whence is not a number"};
    OpenFile* file = find_file(exchange, want.handle());
    exchange.request.record.arguments.add("offset", want.offset());
    exchange.request.record.arguments.add("whence", want.whence().code());
    if (file == nullptr) return bad_handle();
    const std::int64_t whence = want.whence().code();
    if (whence < 0 || whence > 2) return Refusal{.reason = ipc::BAD_WHENCE, .why = "whence is not 0, 1 or 2"};
    if (!file->fd.is_open()) {
        FileTask task{.clerk = file->clerk};
        task.order.mutable_seek()->set_offset(want.offset());
        task.order.mutable_seek()->set_whence(static_cast<std::uint32_t>(whence));
        return begin_work(exchange, std::move(task));
    }
    const auto position = seek(*file, want.offset(), whence);
    if (!position) return failed(position.error());
    Reply reply;
    reply.mutable_file_seek()->set_position(*position);
    return reply;
}

// Writes reach the kernel at once, so nothing needs to be flushed; this only checks the handle.
Answer answer_file_flush(Exchange& exchange) {
    if (find_file(exchange, exchange.asked.file_flush().handle()) == nullptr) return bad_handle();
    Reply reply;
    reply.mutable_file_flush();
    return reply;
}

}  // namespace sallyport::broker
