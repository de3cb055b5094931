// The worker executable, in its three roles.
//
//   sallyport-nursery nursery UID GID   started by the broker; confines itself and executes itself again
//   sallyport-nursery                   forks workers
//   sallyport-worker                    forked by it, once per connection
//
// All are confined before a byte of the host is read. None ever writes what the host sent anywhere but
// and replies to the host.
#include <malloc.h>
#include <sys/epoll.h>
#include <unistd.h>

#include <array>
#include <charconv>
#include <csignal>
#include <optional>
#include <span>
#include <string_view>

#include "ipc/arena.hpp"
#include "ipc/codec.hpp"
#include "sandbox/lockdown.hpp"
#include "sandbox/syscalls.hpp"
#include "worker/nursery.hpp"
#include "worker/serve.hpp"

namespace {

using namespace sallyport;

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
    // A host that disconnects while we write is an errno. A terminal has no say: a stopped worker would hold up its host. Workers
    // inherit this, since they cannot set it themselves.
    for (const int number : {SIGPIPE, SIGTSTP, SIGTTIN, SIGTTOU}) std::signal(number, SIG_IGN);
    return worker::confine_nursery(*uid, *gid);
}

// Returns the memory of a long request to the kernel when it is freed. By default the C library adapts to one long request and
// keeps that much.
bool give_memory_back() {
    constexpr int kThreshold = 2 << 20;
    return ::mallopt(M_MMAP_THRESHOLD, kThreshold) == 1 && ::mallopt(M_TRIM_THRESHOLD, kThreshold) == 1;
}

int be_worker(worker::Commands& commands, const sandbox::Filter& filter) {
    const FdRef channel(worker::kWorkerChannel);
    const FdRef broker(worker::kWorkerBroker);
    const auto arena = ipc::Arena::map(UniqueFd(worker::kWorkerArena));
    const UniqueFd epoll(::epoll_create1(EPOLL_CLOEXEC));
    if (!arena || !epoll.is_open() || !worker::watch(epoll, channel, broker))
        return end_with(worker::Exit::kSetUpFailed);
    if (!sandbox::lockdown_worker(filter)) return end_with(worker::Exit::kLockdownFailed);
    return end_with(worker::serve({.epoll = epoll,
                                   .channel = channel,
                                   .broker = broker,
                                   .arena = *arena,
                                   .commands = commands,
                                   .forget = sandbox::forget_startup_code}));
}

// What is made here workers begin with: the tables of all messages, which take longer to make than a worker to start.
int fork_workers(char* title) {
    if (!sandbox::hide_again() || !give_memory_back()) return end_with(worker::Exit::kSetUpFailed);
    const auto filter = sandbox::Filter::from_file(FdRef(worker::kNurseryFilter));
    if (!filter) return end_with(worker::Exit::kSetUpFailed);
    worker::Commands commands;
    // A worker takes nothing down that the nursery has made: it would write to all of these pages to no purpose.
    return worker::run_nursery(title, [&]() -> int { ::_exit(be_worker(commands, *filter)); });
}

}  // namespace

int main(int argc, char** argv) {
    ipc::silence_protobuf();
    const std::span arguments(argv, static_cast<std::size_t>(argc));
    if (argc == 4 && arguments[1] == std::string_view("nursery"))
        return be_nursery(arguments[2], arguments[3]);
    if (argc == 1) return fork_workers(argv[0]);
    return end_with(worker::Exit::kSetUpFailed);
}
