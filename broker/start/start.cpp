// Runs in:  starter
// Input:    the admin's files; base/trusted_file.hpp judges them
#include "broker/start/start.hpp"

#include <fcntl.h>
#include <grp.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.hpp"
#include "broker/files/needs.hpp"
#include "broker/guard/mark.hpp"
#include "broker/start/helpers.hpp"
#include "broker/start/kept_budgets.hpp"
#include "broker/start/kept_state.hpp"
#include "broker/start/open_channel.hpp"
#include "broker/start/own_files.hpp"
#include "broker/start/spawn.hpp"
#include "ipc/codec.hpp"
#include "ipc/limits.hpp"
#include "ipc/ring.hpp"
#include "policy/exec.hpp"
#include "sandbox/landlock.hpp"

namespace sallyport::starter {

namespace {

using broker::Handover;
using policy::compiled::Service;

constexpr rlim_t kLeastDescriptors = kMaxOpenFiles + 128;  // the host's files, and our own
static_assert(kLeastDescriptors == 640, "as the message says");

// These signals are read from a descriptor, so that they interrupt no call. SIGPIPE becomes an errno.
Result<UniqueFd> take_signals() {
    sigset_t set;
    ::sigemptyset(&set);
    ::sigaddset(&set, SIGTERM);
    ::sigaddset(&set, SIGINT);
    ::sigaddset(&set, SIGHUP);
    if (::sigprocmask(SIG_BLOCK, &set, nullptr) != 0) return system_error("sigprocmask");
    if (::signal(SIGPIPE, SIG_IGN) == SIG_ERR) return system_error("signal");
    UniqueFd fd(::signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK));
    if (!fd.is_open()) return system_error("signalfd");
    return fd;
}

Status prepare_process() {
    // At a file size limit, write() fails with EFBIG.
    if (::signal(SIGXFSZ, SIG_IGN) == SIG_ERR) return system_error("signal");
    // Supplementary groups would be inherited by the nursery, which cannot drop them.
    if (::geteuid() == 0 && ::setgroups(0, nullptr) != 0)
        return system_error("groups cannot be dropped (is this a user namespace with one user?)");
    rlimit files{};
    if (::getrlimit(RLIMIT_NOFILE, &files) != 0) return system_error("getrlimit");
    if (files.rlim_max < kLeastDescriptors)
        return failure(Errc::kLimit,
                       "fewer than the 640 descriptors that are needed: raise the hard limit "
                       "(LimitNOFILE=, ulimit -Hn)");
    files.rlim_cur = files.rlim_max;
    if (::setrlimit(RLIMIT_NOFILE, &files) != 0) return system_error("setrlimit");
    // For processes that lock their memory. If the limit cannot be raised, they lock less.
    const rlimit memory{.rlim_cur = RLIM_INFINITY, .rlim_max = RLIM_INFINITY};
    [[maybe_unused]] const int raised = ::setrlimit(RLIMIT_MEMLOCK, &memory);
    return {};
}

// THREAT: a local user who can list the state directory holds its lock while he does, and the log cannot be rotated. Who owns the
// directory is the admin's decision.
bool is_open_to_others(FdRef state) {
    struct stat info{};
    return ::fstat(state.get(), &info) == 0 && (info.st_mode & 077U) != 0;
}

// THREAT: whoever reads our standard error, from a terminal or pipe, stops reading, and the broker waits in write(). So it gets
// its own open file description, which is non-blocking. Where that is impossible (a socket, a file, another user's terminal) it
// keeps ours.
void do_not_wait_for_standard_error() {
    struct stat info{};
    if (::fstat(STDERR_FILENO, &info) != 0 || (!S_ISCHR(info.st_mode) && !S_ISFIFO(info.st_mode))) return;
    const UniqueFd own(::open("/proc/self/fd/2", O_WRONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC));
    if (own.is_open()) ::dup2(own.get(), STDERR_FILENO);
}

void note(const policy::Rule& rule, const std::string& under, Handover::Missing::Why why,
          Handover& handover) {
    Handover::Missing& missing = *handover.add_missing();
    missing.set_rule(rule.id);
    missing.set_under(under);
    missing.set_why(why);
}

// An allowed directory may be created or mounted later, so this is no error, but it is often a mistake. One that does not answer
// may answer later.
void note_missing_directories(const policy::Policy& policy, const std::vector<ipc::SeenPath>& seen,
                              Handover& handover) {
    files::for_each_seen(policy, seen, [&](const auto& rule, const auto& file, const ipc::SeenPath& path) {
        if (rule.effect == policy::Effect::kDeny || (path.is_known() && path.is_directory())) return;
        note(rule, file.under, path.is_known() ? Handover::Missing::NOT_THERE : Handover::Missing::NO_ANSWER,
             handover);
    });
}

// The files hand itself looks at what is denied.
void note_unseen(const policy::Policy& policy, const std::vector<policy::Grant>& unseen, Handover& handover) {
    for (const policy::Grant& one : unseen) {
        const policy::Rule& rule = policy.rules[one.rule];
        note(rule, rule.files[one.file].under, Handover::Missing::DENIED_NO_ANSWER, handover);
    }
}

// Before anybody is started, who would be left behind in our group.
ProgramGroups groups_for(const policy::Policy& policy, Handover& handover) {
    if (policy::exec_templates(policy).empty()) return {};
    ProgramGroups groups = make_program_groups();
    handover.set_program_bounds(!groups.directory.is_open() ? Handover::PROCESSES
                                : groups.has_bounds         ? Handover::GROUPS
                                                            : Handover::KILLED_AS_GROUPS);
    return groups;
}

// Only with a guard. From now on the mark says whether something is frozen.
Status open_mark(bool is_frozen, FdRef state, Outfit& outfit) {
    auto mark = TRY(guard::FrozenMark::open(state));
    TRY(mark.set(is_frozen));
    outfit.message.set_boot(mark.boot());
    outfit.message.set_is_frozen(is_frozen);
    outfit.add(Handover::FROZEN_MARK, std::move(mark).release());
    return {};
}

// The guard comes before anything kept in the state directory, which it may have to thaw. Returns the latest known time.
Checked<policy::WallTime> use_state(const policy::Policy& policy, const Service& options, FdRef state,
                                    Outfit& outfit) {
    Guard guard = TRY(start_guard(policy, state));
    KeptHandles handles = TRY(about(options.statedir(), reserve_handles(state)));
    outfit.message.set_first_handle(handles.first);
    outfit.add(Handover::STATE_LOCK, std::move(handles.lock));
    const KeptTime kept_time = TRY(about(options.statedir(), open_kept_time(state)));
    outfit.message.set_floor(kept_time.floor);
    const BegunBudgets budgets = TRY(about(options.statedir(), begin_budgets(state, policy)));
    outfit.message.mutable_due()->Add(budgets.due.begin(), budgets.due.end());
    outfit.message.set_budgets_not_kept(budgets.not_kept);
    auto ring = TRY(about("recorder", ipc::Ring::create()));
    outfit.add(Handover::RECORDER,
               TRY(start_recorder(policy.audit, {state, ring.fd(), kept_time.file, budgets.file})));
    outfit.add(Handover::RING, std::move(ring).release());
    if (guard.socket.is_open()) TRY(about(options.statedir(), open_mark(guard.is_frozen, state, outfit)));
    outfit.add(Handover::GUARD, std::move(guard.socket));
    return ExpiryClock(kept_time.floor, read_clocks()).now().latest;
}

}  // namespace

void Outfit::add(Handover::Descriptor what, UniqueFd descriptor) {
    if (!descriptor.is_open()) return;
    message.add_descriptors(what);
    descriptors.push_back(std::move(descriptor));
}

Checked<Outfit> prepare(const Service& options, const ReadPolicy& read, const std::vector<std::string>& own) {
    const policy::Policy& policy = read.policy;
    TRY(prepare_process());
    const int landlock = TRY(about("kernel", sandbox::landlock::version()));
    const UniqueFd state = TRY(open_of_admin(options.statedir(), O_DIRECTORY));
    Outfit outfit;
    const ProgramGroups groups = groups_for(policy, outfit.message);
    const std::vector<ipc::SeenPath> seen = TRY(about(kFiles.name, files::look_at_rules(policy)));
    TRY(files::refuse_links(policy, seen));
    outfit.message.set_policy(read.compiled);
    outfit.message.set_landlock(landlock);
    outfit.message.set_state_is_open(is_open_to_others(state));
    *outfit.message.mutable_options() = options;
    outfit.message.set_directory(TRY(about("working directory", working_directory())));
    const policy::WallTime floor = TRY(use_state(policy, options, state, outfit));
    outfit.add(Handover::NOTIFY, TRY(connect_to_manager()));
    outfit.channel = TRY(about(options.path(), open_channel(options)));
    outfit.add(Handover::NURSERY, TRY(start_nursery()));
    outfit.add(Handover::LAUNCHER, TRY(start_launcher(policy, floor, groups)));
    outfit.add(Handover::INSPECTOR, TRY(start_inspector(policy)));
    const FilesTerms terms{.policy = policy,
                           .compiled = read.compiled,
                           .own = TRY(untouchable(policy, own)),
                           .seen = seen,
                           .floor = floor};
    FilesHand hand = TRY(start_files(terms, state));
    outfit.add(Handover::FILES, std::move(hand.socket));
    note_missing_directories(policy, seen, outfit.message);
    note_unseen(policy, hand.unseen, outfit.message);
    outfit.message.set_denied_not_kept(hand.not_kept);
    outfit.add(Handover::SIGNALS, TRY(take_signals()));
    do_not_wait_for_standard_error();
    outfit.add(Handover::OWN_STATUS, UniqueFd(::open("/proc/self/status", O_RDONLY | O_CLOEXEC)));
    return outfit;
}

Complaint become_broker(Outfit& outfit, const policy::Policy& policy) {
    const Service& options = outfit.message.options();
    const bool makes_socket = outfit.channel.kind == Service::UNIX_LISTEN && !outfit.channel.fd.is_open();
    if (const auto listening = start_listening(outfit.channel, options, policy); !listening)
        return {listening.error(), options.path()};
    outfit.message.set_channel(outfit.channel.kind);
    outfit.message.set_made_socket(makes_socket);
    outfit.add(Handover::CHANNEL, std::move(outfit.channel.fd));
    std::string bytes;
    ipc::encode(outfit.message, bytes);
    const auto setup = sealed(bytes);
    Complaint failed =
        setup ? execute_broker(*setup, outfit.descriptors) : Complaint(setup.error(), "broker");
    if (makes_socket) ::unlink(options.path().c_str());
    return failed;
}

}  // namespace sallyport::starter
