// Runs in:  starter
#include "broker/start/prove.hpp"

#include <fcntl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <charconv>

#include "broker/serve/workers.hpp"
#include "broker/start/installation.hpp"
#include "ipc/arena.hpp"
#include "ipc/broker.pb.h"
#include "ipc/channel.hpp"
#include "ipc/codec.hpp"
#include "ipc/files.pb.h"
#include "ipc/guard.pb.h"
#include "ipc/inspector.pb.h"
#include "ipc/launcher.pb.h"
#include "ipc/nursery.pb.h"
#include "sandbox/proof.hpp"

namespace sallyport::starter {

namespace {

constexpr std::uint64_t kRehearsal = 0;

template <typename Message>
std::optional<Message> decoded(std::string_view frame) {
    Message message;
    std::string scratch;
    if (!ipc::decode(frame, message, scratch)) return std::nullopt;
    return message;
}

template <typename Message, bool (Message::*kHas)() const>
bool says(std::string_view frame) {
    const auto message = decoded<Message>(frame);
    return message && ((*message).*kHas)();
}

// The worker's filter comes on top of the nursery's.
sandbox::Expected expected_of(const Process& row, std::uint64_t capabilities, const PlainUser& user) {
    const bool is_root = ::geteuid() == 0;
    const bool is_plain = row.runs_as == RunsAs::kPlain;
    return {.uid = is_plain ? user.uid : ::geteuid(),
            .gid = is_plain ? user.gid : ::getegid(),
            .groups_are_ours = is_root,
            .capabilities = is_root ? capabilities : 0,
            // An ordinary user cannot empty the set; a process without a filter passes it on to programs.
            .bounding_is_ours = is_plain || (is_root && row.filters > 0),
            .seccomp_filters = row.filters,
            .is_launcher = row.filters == 0};
}

Status prove_apart(const Process& row, FdRef proc) {
    if (row.apart == Apart::kNothing) return {};
    return row.apart == Apart::kAll ? sandbox::prove_apart(proc) : sandbox::prove_processes_apart(proc);
}

Result<std::string> prove_held(const Process& row, const Running& process, std::uint64_t capabilities) {
    std::string said = TRY(await_frame(process.socket));
    if (!row.is_ready(said)) return failure(Errc::kProof, "it did not say that it is ready");
    const PlainUser user = row.runs_as == RunsAs::kPlain ? TRY(plain_user()) : PlainUser{};
    const sandbox::Credentials held = TRY(sandbox::read_credentials(process.status));
    TRY(sandbox::compare(expected_of(row, capabilities, user), held));
    TRY(prove_apart(row, process.proc));
    return said;
}

// The nursery's only child: the rehearsal worker.
Result<UniqueFd> find_child(const Running& nursery) {
    const std::string name = "task/" + std::to_string(nursery.pid) + "/children";
    const UniqueFd list(::openat(nursery.proc.get(), name.c_str(), O_RDONLY | O_CLOEXEC));
    std::array<char, 64> text{};
    const ssize_t got = list.is_open() ? ::read(list.get(), text.data(), text.size()) : -1;
    if (got <= 0) return system_error("/proc/PID/task/PID/children");
    pid_t pid = 0;
    std::from_chars(text.data(), text.data() + got, pid);
    UniqueFd proc(::open(("/proc/" + std::to_string(pid)).c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC));
    if (!proc.is_open()) return system_error("/proc/PID");
    return proc;
}

// A worker sends Hello after its lockdown and nothing before it.
Status await_hello(const broker::Worker& worker) {
    if (!says<ipc::Request, &ipc::Request::has_hello>(TRY(await_frame(worker.socket))))
        return failure(Errc::kProof, "it did not say that it is ready");
    return {};
}

// It has the nursery's filter and its own.
Status prove_worker(const Running& nursery) {
    sandbox::Expected expected = expected_of(kNursery, 0, TRY(plain_user()));
    expected.seccomp_filters += 1;
    const UniqueFd proc = TRY(find_child(nursery));
    const UniqueFd status(::openat(proc.get(), "status", O_RDONLY | O_CLOEXEC));
    if (!status.is_open()) return system_error("/proc/PID/status");
    const sandbox::Credentials held = TRY(sandbox::read_credentials(status));
    TRY(sandbox::compare(expected, held));
    return sandbox::prove_apart(proc);
}

Status rehearse_one(const Running& nursery) {
    const auto arena = TRY(ipc::Arena::create());
    std::array<int, 2> channel{};
    if (::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, channel.data()) != 0)
        return system_error("socketpair");
    const UniqueFd ours(channel[0]);
    const UniqueFd theirs(channel[1]);
    {
        const auto worker = TRY(broker::start_worker(nursery.socket, kRehearsal, theirs, arena));
        TRY(await_hello(worker));
        TRY(prove_worker(nursery));
    }
    const auto ended = decoded<ipc::NurseryReply>(TRY(await_frame(nursery.socket)));
    if (!ended || !ended->has_worker_ended() || ended->worker_ended().exit_status() != 0)
        return failure(Errc::kProof, "the rehearsal worker did not end as it should");
    return {};
}

}  // namespace

bool guard_is_ready(std::string_view frame) {
    return says<ipc::GuardReply, &ipc::GuardReply::has_ready>(frame);
}

// The recorder's only message at start.
bool recorder_is_ready(std::string_view frame) {
    return frame == "r";
}

bool nursery_is_ready(std::string_view frame) {
    return says<ipc::NurseryReply, &ipc::NurseryReply::has_nursery_ready>(frame);
}

bool launcher_is_ready(std::string_view frame) {
    return says<ipc::LauncherReply, &ipc::LauncherReply::has_launcher_ready>(frame);
}

bool inspector_is_ready(std::string_view frame) {
    return says<ipc::InspectorReply, &ipc::InspectorReply::has_inspector_ready>(frame);
}

bool files_is_ready(std::string_view frame) {
    return says<ipc::FilesReply, &ipc::FilesReply::has_files_ready>(frame);
}

Result<std::string> await_frame(FdRef socket) {
    constexpr int kAnswerMs = 10'000;
    ipc::Frame frame;
    for (;;) {
        TRY(broker::wait_readable(socket, kAnswerMs));
        if (TRY(ipc::receive(socket, frame))) return std::string(frame.bytes);
    }
}

Checked<std::string> prove(const Process& row, const Running& process, std::uint64_t capabilities) {
    return of(row, prove_held(row, process, capabilities));
}

Checked<void> rehearse(const Running& nursery) {
    return of(kNursery, rehearse_one(nursery));
}

Error explained(const Error& error) {
    if (error.code != Errc::kClosed) return error;
    return {Errc::kProof,
            "it ended before it was ready: it says above why, or could not confine itself (does this "
            "kernel offer Landlock and seccomp?)"};
}

std::uint64_t bits_of(std::span<const sandbox::KeptCapability> capabilities) {
    std::uint64_t bits = 0;
    for (const auto& one : capabilities) bits |= 1ULL << static_cast<unsigned>(one.capability);
    return bits;
}

}  // namespace sallyport::starter
