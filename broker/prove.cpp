// Self-proof at start: each kind of process is shown by the kernel to hold what it should, before a host byte
// is read.
// Runs in:  broker, the nursery's part before lockdown(), its own part after
// Relies on: /proc of the broker's own pid namespace

#include "broker/prove.hpp"

#include <fcntl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <charconv>
#include <span>
#include <string>

#include "broker/launch.hpp"
#include "broker/workers.hpp"
#include "ipc/broker.pb.h"
#include "ipc/channel.hpp"
#include "ipc/codec.hpp"
#include "sandbox/proof.hpp"

namespace sallyport::broker {

namespace {

constexpr int kAnswerMs = 10'000;
constexpr std::uint64_t kRehearsal = 0;

Status prove_status(FdRef status, const sandbox::Expected& expected) {
    return sandbox::compare(expected, TRY(sandbox::read_held(status)));
}

sandbox::Expected expect_plain(const PlainUser& user, int filters) {
    return {.uid = user.uid, .gid = user.gid, .seccomp_filters = filters};
}

// A process that runs as we do, with these capabilities if we are root.
sandbox::Expected expect_like_us(std::span<const sandbox::KeptCapability> kept) {
    const bool is_root = ::geteuid() == 0;
    sandbox::Expected expected{.uid = ::geteuid(), .gid = ::getegid(), .bounding_is_ours = is_root};
    if (is_root)
        for (const auto& one : kept) expected.capabilities |= 1ULL << static_cast<unsigned>(one.capability);
    return expected;
}

// The only child of the nursery: the rehearsal worker.
Result<UniqueFd> find_child(const Helper& nursery) {
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

Result<ipc::NurseryReply> await_nursery(const Helper& nursery) {
    for (;;) {
        if (const auto ready = wait_readable(nursery.socket, kAnswerMs); !ready)
            return std::unexpected(ready.error());
        auto reply = hear_nursery(nursery.socket);
        if (!reply) return std::unexpected(reply.error());
        if (*reply) return **std::move(reply);
    }
}

// A worker says Hello after its lockdown, and nothing before.
Status await_hello(const Worker& worker) {
    if (const auto ready = wait_readable(worker.socket, kAnswerMs); !ready) return ready;
    ipc::Frame frame;
    const auto received = ipc::receive(worker.socket, frame);
    if (!received) return std::unexpected(received.error());
    ipc::Request request;
    std::string scratch;
    if (const auto decoded = ipc::decode(frame.bytes, request, scratch); !decoded) return decoded;
    if (!request.has_hello()) return failure(Errc::kProof, "the worker did not say that it is ready");
    return {};
}

Status rehearse(const Helper& nursery, const PlainUser& user) {
    const auto arena = TRY(ipc::Arena::create());
    std::array<int, 2> channel{};
    if (::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, channel.data()) != 0)
        return system_error("socketpair");
    const UniqueFd ours(channel[0]);
    const UniqueFd theirs(channel[1]);
    {
        const auto worker = start_worker(nursery.socket, kRehearsal, theirs, arena);
        if (!worker) return std::unexpected(worker.error());
        if (const auto hello = await_hello(*worker); !hello) return hello;
        const auto proc = find_child(nursery);
        if (!proc) return std::unexpected(proc.error());
        // The nursery's filter and the worker's own on top of it.
        const UniqueFd status(::openat(proc->get(), "status", O_RDONLY | O_CLOEXEC));
        if (!status.is_open()) return system_error("/proc/PID/status");
        TRY(prove_status(status, expect_plain(user, 2)));
        TRY(sandbox::prove_apart(*proc));
    }
    const auto ended = await_nursery(nursery);
    if (!ended) return std::unexpected(ended.error());
    if (!ended->has_worker_ended() || ended->worker_ended().exit_status() != 0)
        return failure(Errc::kProof, "the rehearsal worker did not end as it should");
    return {};
}

}  // namespace

Status prove_nursery(const Helper& nursery, const PlainUser& user) {
    const auto first = await_nursery(nursery);
    if (!first) return std::unexpected(first.error());
    if (!first->has_nursery_ready()) return failure(Errc::kProof, "the nursery did not say that it is ready");
    TRY(prove_status(nursery.status, expect_plain(user, 1)));
    if (const auto proved = sandbox::prove_apart(nursery.proc); !proved) return proved;
    return rehearse(nursery, user);
}

Status prove_guard(const Helper& guard) {
    return prove_status(guard.status, expect_like_us(sandbox::guard_capabilities()));
}

Status prove_recorder(const Helper& recorder) {
    TRY(wait_readable(recorder.socket, kAnswerMs));
    ipc::Frame frame;
    if (!TRY(ipc::receive(recorder.socket, frame)))
        return failure(Errc::kProof, "it did not say that it is ready");
    return prove_status(recorder.status, expect_like_us({}));
}

Status prove_launcher(const Helper& launcher, const ipc::LauncherTable& table) {
    if (const auto told = tell_launcher(launcher.socket, table); !told) return told;
    if (const auto ready = wait_readable(launcher.socket, kAnswerMs); !ready) return ready;
    const auto first = TRY(hear_launcher(launcher.socket));
    if (!first || !first->has_launcher_ready())
        return failure(Errc::kProof, "the launcher did not say that it is ready");
    auto expected = expect_like_us(sandbox::launcher_capabilities(table.asks_kernel()));
    expected.bounding_is_ours = false;
    expected.seccomp_filters = 0;
    expected.is_launcher = true;
    return prove_status(launcher.status, expected);
}

Status prove_inspector(const Helper& inspector, const PlainUser& user, const ipc::ReplyRules& rules) {
    TRY(tell_inspector(inspector.socket, rules));
    if (const auto ready = wait_readable(inspector.socket, kAnswerMs); !ready) return ready;
    ipc::InspectorReply first;
    const auto heard = hear_inspector(inspector.socket, first);
    if (!heard) return std::unexpected(heard.error());
    if (!first.has_inspector_ready())
        return failure(Errc::kProof, "the inspector did not say that it is ready");
    TRY(prove_status(inspector.status, expect_plain(user, 1)));
    return sandbox::prove_processes_apart(inspector.proc);
}

Result<FilesHand> prove_files(Helper& files, const sandbox::FilesNeeds& needs) {
    TRY(wait_readable(files.socket, kAnswerMs));
    ipc::Frame frame;
    ipc::FilesReply ready;
    std::string scratch;
    if (!TRY(ipc::receive(files.socket, frame)) || !ipc::decode(frame.bytes, ready, scratch) ||
        !ready.has_files_ready())
        return failure(Errc::kProof, "it did not say that it is ready");
    TRY(prove_status(files.status, expect_like_us(sandbox::files_capabilities(needs))));
    FilesHand hand(std::move(files.socket));
    if (!hand.want_clerk()) return failure(Errc::kClosed, "it is gone");
    TRY(wait_readable(hand.parent(), kAnswerMs));
    if (const int fault = TRY(hand.hear_parent()); fault != 0)
        return std::unexpected(Error{Errc::kSystem, "it cannot start a process", fault});
    return hand;
}

Status prove_broker(FdRef own_status) {
    const auto held = sandbox::read_held(own_status);
    if (!held) return std::unexpected(held.error());
    return sandbox::compare(expect_like_us({}), *held);
}

}  // namespace sallyport::broker
