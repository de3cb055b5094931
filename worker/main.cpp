// The worker executable, in its two roles.
//
//   sallyport-nursery nursery UID GID   started by the broker; forks workers
//   sallyport-worker                    started by the nursery, once per connection
//
// Both are confined before a byte of the host is read. Neither ever writes what the host sent anywhere but
// into requests to the broker and replies to the host.
#include <malloc.h>
#include <sys/epoll.h>

#include <array>
#include <charconv>
#include <csignal>
#include <optional>
#include <span>
#include <string_view>

#include "ipc/arena.hpp"
#include "ipc/codec.hpp"
#include "sandbox/lockdown.hpp"
#include "worker/nursery.hpp"
#include "worker/serve.hpp"

namespace {

using namespace sallyport;

constexpr int kNurseryControl = 3;
constexpr int kNurseryExecutable = 4;

int end_with(worker::Exit exit) {
    return static_cast<int>(exit);
}

template <typename Id>
std::optional<Id> parse_id(std::string_view text) {
    Id id{};
    const auto [end, error] = std::from_chars(text.begin(), text.end(), id);
    if (error != std::errc() || end != text.end()) return std::nullopt;
    return id;
}

int be_nursery(std::string_view uid_text, std::string_view gid_text) {
    const auto uid = parse_id<uid_t>(uid_text);
    const auto gid = parse_id<gid_t>(gid_text);
    if (!uid || !gid) return end_with(worker::Exit::kSetUpFailed);
    // A host that goes away while it is written to is an error code, and a terminal has no say: a stopped worker
    // would hold up its host. Workers inherit this; they cannot ask for it.
    for (const int number : {SIGPIPE, SIGTSTP, SIGTTIN, SIGTTOU}) std::signal(number, SIG_IGN);
    const FdRef control(kNurseryControl);
    const FdRef executable(kNurseryExecutable);
    if (!sandbox::lockdown_nursery(*uid, *gid, executable, std::span(&control, 1)))
        return end_with(worker::Exit::kLockdownFailed);
    return worker::run_nursery(control, executable);
}

// What a long request took goes back to the kernel when it is freed. The C library alone would learn from one long request
// to keep that much.
bool give_memory_back() {
    constexpr int kThreshold = 2 << 20;
    return ::mallopt(M_MMAP_THRESHOLD, kThreshold) == 1 && ::mallopt(M_TRIM_THRESHOLD, kThreshold) == 1;
}

int be_worker() {
    if (!give_memory_back()) return end_with(worker::Exit::kSetUpFailed);
    const FdRef channel(worker::kWorkerChannel);
    const FdRef broker(worker::kWorkerBroker);
    worker::Commands commands;
    const auto arena = ipc::Arena::map(UniqueFd(worker::kWorkerArena));
    const UniqueFd epoll(::epoll_create1(EPOLL_CLOEXEC));
    if (!arena || !epoll.is_open() || !worker::watch(epoll, channel, broker))
        return end_with(worker::Exit::kSetUpFailed);
    if (!sandbox::lockdown_worker()) return end_with(worker::Exit::kLockdownFailed);
    sandbox::forget_startup_code();
    return end_with(worker::serve({.epoll = epoll,
                                   .channel = channel,
                                   .broker = broker,
                                   .arena = *arena,
                                   .commands = commands,
                                   .forget_first = sandbox::forget_startup_code}));
}

}  // namespace

int main(int argc, char** argv) {
    ipc::silence_protobuf();
    const std::span arguments(argv, static_cast<std::size_t>(argc));
    if (argc == 4 && arguments[1] == std::string_view("nursery"))
        return be_nursery(arguments[2], arguments[3]);
    if (argc == 1) return be_worker();
    return end_with(worker::Exit::kSetUpFailed);
}
