// The guard executable, in its two roles.
//
//   sallyport-guard serve           started by the starter; descriptor 3 is the broker
//   sallyport-guard thaw STATEDIR   run by a service manager after the service: thaws what that left frozen
//
// Runs in:  guard
// Input:    arguments from the admin or the starter
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/resource.h>

#include <csignal>
#include <cstdio>
#include <cstring>
#include <span>
#include <string_view>

#include "broker/guard/mark.hpp"
#include "broker/guard/serve.hpp"
#include "ipc/codec.hpp"

namespace {

using namespace sallyport;

constexpr int kBroker = 3;
constexpr int kExecutable = 4;

int complain(const Error& error) {
    std::fprintf(stderr, "guard: %s%s%s\n", error.what, error.sys_errno == 0 ? "" : ": ",
                 error.sys_errno == 0 ? "" : std::strerror(error.sys_errno));
    return 1;
}

// Signals do not end it: it ends only after the broker. Children need not be waited for.
void set_signals() {
    for (const int number :
         {SIGTERM, SIGINT, SIGHUP, SIGPIPE, SIGTSTP, SIGTTIN, SIGTTOU, SIGUSR1, SIGUSR2, SIGCHLD})
        std::signal(number, SIG_IGN);
}

int serve() {
    ::close(kExecutable);
    ::fcntl(kBroker, F_SETFD, FD_CLOEXEC);
    auto guard = guard::Guard::open(UniqueFd(kBroker));
    return guard ? guard->run() : 1;
}

int thaw(const char* state_path) {
    const UniqueFd state(::open(state_path, O_PATH | O_DIRECTORY | O_CLOEXEC));
    if (!state.is_open()) return 0;  // without a state directory nothing was frozen
    const auto frozen = guard::FrozenMark::is_set(state);
    if (!frozen) return complain(frozen.error());
    if (!*frozen) return 0;
    auto guard = guard::Guard::open(UniqueFd());
    if (!guard) return complain(guard.error());
    const auto count = guard->thaw_everything();
    if (!count) return complain(count.error());
    std::fprintf(stderr, "guard: thawed %u file systems\n", *count);
    const auto mark = guard::FrozenMark::open(state);
    const Status cleared = mark ? mark->set(false) : std::unexpected(mark.error());
    return cleared ? 0 : complain(cleared.error());
}

}  // namespace

int main(int argc, char** argv) {
    ipc::silence_protobuf();
    set_signals();
    const std::span arguments(argv, static_cast<std::size_t>(argc));
    if (argc == 2 && arguments[1] == std::string_view("serve")) return serve();
    if (argc == 3 && arguments[1] == std::string_view("thaw")) return thaw(arguments[2]);
    std::fputs("usage: guard thaw STATEDIR\n", stderr);
    return 2;
}
