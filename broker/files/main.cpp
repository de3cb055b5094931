// The files hand: the only process that opens files for the host, by the policy's file rules.
//
//   sallyport-files   started by the starter; descriptor 3 is the broker, 4 the setup, 5 the state directory
//
// Runs in:  files
// Input:    before the lockdown the admin's policy; afterwards orders of a broker that may have been taken over
#include <sys/stat.h>
#include <unistd.h>

#include <csignal>
#include <cstdio>
#include <cstring>

#include "broker/files/needs.hpp"
#include "broker/files/parent.hpp"
#include "ipc/codec.hpp"
#include "ipc/limits.hpp"

namespace sallyport::files {
namespace {

constexpr int kBroker = 3;
constexpr int kSetup = 4;
constexpr int kStateDirectory = 5;

// Signals do not end it: it ends only after the broker. A file size limit is an error.
void set_signals() {
    for (const int number :
         {SIGTERM, SIGINT, SIGHUP, SIGPIPE, SIGXFSZ, SIGTSTP, SIGTTIN, SIGTTOU, SIGUSR1, SIGUSR2, SIGQUIT})
        std::signal(number, SIG_IGN);
}

Result<ipc::FilesSetup> read_setup() {
    const UniqueFd file(kSetup);
    struct stat info{};
    if (::fstat(file.get(), &info) != 0) return system_error("fstat");
    std::string bytes(static_cast<std::size_t>(info.st_size), '\0');
    if (bytes.size() > kMaxFilesSetup) return failure(Errc::kLimit, "setup: too long");
    if (::pread(file.get(), bytes.data(), bytes.size(), 0) != static_cast<ssize_t>(bytes.size()))
        return system_error("pread");
    ipc::FilesSetup setup;
    std::string scratch;
    TRY(ipc::decode(bytes, setup, scratch));
    return setup;
}

Checked<int> run() {
    if (::close_range(kStateDirectory + 1, ~0U, 0) != 0) return system_error("close_range");
    UniqueFd broker(kBroker);
    UniqueFd state(kStateDirectory);
    const ipc::FilesSetup setup = TRY(read_setup());
    const policy::Policy policy = TRY(policy::load(setup.policy()));
    const std::vector<ipc::SeenPath> seen(setup.seen().begin(), setup.seen().end());
    std::vector<UniqueFd> trees;  // closed once Landlock has them
    sandbox::FilesNeeds needs = needs_of(policy, seen);
    Hand hand{.table = TRY(Table::build(policy, {setup.own().begin(), setup.own().end()})),
              .clock = ExpiryClock(setup.floor(), read_clocks()),
              .filter = TRY(sandbox::filter_of_clerks(needs)),
              .parent = ::getpid()};
    TRY(hand.table.remember(state));
    TRY(open_trees(needs, trees));
    TRY(sandbox::lockdown_files(needs, state));
    trees.clear();
    state.reset();
    sandbox::forget_startup_code();
    return Parent(std::move(broker), std::move(hand)).run();
}

}  // namespace
}  // namespace sallyport::files

int main() {
    sallyport::ipc::silence_protobuf();
    sallyport::files::set_signals();
    const auto status = sallyport::files::run();
    if (status) return *status;
    std::fprintf(stderr, "sallyport-files: %s\n", sallyport::text_of(status.error()).c_str());
    return 1;
}
