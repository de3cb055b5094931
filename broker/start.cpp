// What the broker does between its command line and its first host byte.
// Runs in:  broker, before and during lockdown()
// Input:    the admin's files; base/trusted_file.hpp judges them
#include "broker/start.hpp"

#include <fcntl.h>
#include <grp.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <cstdio>

#include "broker/configure.hpp"
#include "broker/confine.hpp"
#include "broker/files/kernel.hpp"
#include "broker/files/needs.hpp"
#include "broker/installation.hpp"
#include "broker/launch.hpp"
#include "broker/prove.hpp"
#include "ipc/limits.hpp"

namespace sallyport::broker {

namespace {

constexpr rlim_t kLeastDescriptors = kMaxOpenFiles + 128;  // those of the host, and ours
static_assert(kLeastDescriptors == 640, "as the message says");

// Blocked signals are read from a descriptor, so that nothing is interrupted; SIGPIPE is an errno to us.
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

ipc::Welcome::Channel wire_kind(ChannelKind kind) {
    if (kind == policy::compiled::Service::VIRTIO_SERIAL) return ipc::Welcome::VIRTIO_SERIAL;
    if (kind == policy::compiled::Service::ISA_SERIAL) return ipc::Welcome::ISA_SERIAL;
    return ipc::Welcome::STREAM;
}

// A directory that a rule allows may be made, or mounted, later: no error, but more often a mistake.
void log_missing_directories(Audit& audit, const policy::Policy& policy) {
    for (const policy::Rule& rule : policy.rules) {
        for (const policy::FileRule& file : rule.files) {
            if (rule.effect == policy::Effect::kDeny || files::find_path(file.under, O_DIRECTORY)) continue;
            Record record;
            record.what = "rule-without-directory";
            record.rule = rule.id;
            record.arguments.add("under", file.under);
            record.reason = "the directory does not exist now; the rule grants nothing until it does";
            audit.write(record);
        }
    }
}

void log_start(Audit& audit, const policy::compiled::Service& options, const policy::Policy& policy) {
    log_missing_directories(audit, policy);
    Record record;
    record.what = "start";
    record.arguments.add("version", SALLYPORT_VERSION);
    record.arguments.add("policy", options.policy());
    record.arguments.add("channel", policy::compiled::Service::Method_Name(options.method()));
    record.arguments.add("path", options.path());
    audit.write(record);
}

void log_clock(Audit& audit, const ExpiryClock& clock) {
    Record record;
    record.what = "clock-behind";
    record.arguments.add("seen", clock.now());
    record.reason = "the clock was later before; rules expire by the latest time that was seen";
    audit.write(record);
}

Status prepare_process() {
    // A file that may grow no more is an error to whoever writes it.
    if (::signal(SIGXFSZ, SIG_IGN) == SIG_ERR) return system_error("signal");
    // Groups of whoever started us would be the nursery's, too, and it cannot drop them itself.
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
    // For those whose memory is locked. Where it may not be raised, less of their memory is.
    const rlimit memory{.rlim_cur = RLIM_INFINITY, .rlim_max = RLIM_INFINITY};
    [[maybe_unused]] const int raised = ::setrlimit(RLIMIT_MEMLOCK, &memory);
    return {};
}

// Where there is a guard: the mark says from now on what is so.
Status open_mark(Freezing& freezing, FdRef state) {
    if (!freezing.guard.is_open()) return {};
    freezing.mark = TRY(guard::FrozenMark::open(state));
    return freezing.mark->set(freezing.is_frozen);
}

// Everything that is opened by name, so that nothing need be later.
Checked<Service> open_by_name(const policy::compiled::Service& options, const policy::Policy& policy,
                              FdRef state, Freezing freezing) {
    HandleCounter handles = TRY(about(options.statedir(), HandleCounter::open(state)));
    const KeptTime kept_time = TRY(about(options.statedir(), open_kept_time(state)));
    const ClockReading clocks = read_clocks();
    ExpiryClock clock(kept_time.floor, clocks);
    Audit audit = TRY(confine_recorder(policy, state, kept_time));
    if (freezing.is_frozen) audit.hold();
    TRY(about(options.statedir(), open_mark(freezing, state)));
    Notify notify = TRY(Notify::connect());
    Channel channel = TRY(about(options.path(), open_channel(options)));
    std::string directory = TRY(about("working directory", working_directory()));
    log_start(audit, options, policy);
    if (clock.now() > clocks.wall) log_clock(audit, clock);
    const auto kind = wire_kind(channel.kind);
    return Service{.session = Session{.policy = policy,
                                      .start_directory = std::move(directory),
                                      .handles = std::move(handles),
                                      .clock = clock,
                                      .files_hand = {},
                                      .arena = {},
                                      .inspector = {},
                                      .channel = kind,
                                      .files = {},
                                      .freezing = std::move(freezing),
                                      .worker = {},
                                      .launch = {}},
                   .channel = std::move(channel),
                   .nursery = {},
                   .launcher = {},
                   .audit = std::move(audit),
                   .notify = std::move(notify),
                   .signals = {}};
}

}  // namespace

Checked<std::vector<std::string>> own_paths(const policy::compiled::Service& options) {
    const std::string directory = TRY(about("working directory", working_directory()));
    std::vector<std::string> paths = TRY(installed_programs());
    for (const std::string& raw : {options.statedir(), options.statedir() + "/audit.jsonl", options.logfile(),
                                   options.pidfile(), options.policy(), options.config()})
        if (const auto path = policy::GuestPath::parse(raw, directory)) paths.emplace_back(path->text());
    return paths;
}

// The socket appears when all other processes are proved. What was made for a start that fails is taken away again; Landlock lets
// that be done up to the last two steps, which these processes have all passed before.
Checked<void> listen_and_lock(Service& service, const policy::compiled::Service& options) {
    const UniqueFd own_status(::open("/proc/self/status", O_RDONLY | O_CLOEXEC));
    if (!own_status.is_open()) return system_error("/proc/self/status");
    const bool makes_socket =
        options.method() == policy::compiled::Service::UNIX_LISTEN && !service.channel.fd.is_open();
    const sandbox::Needs needs{.listens = service.channel.listens(),
                               .asks_files = service.session.files_hand.parent().get() >= 0,
                               .freezes = service.session.freezing.guard.is_open()};
    TRY(about(options.path(), start_listening(service.channel, options, service.session.policy)));
    auto locked = sandbox::lockdown_broker(needs);
    if (locked) locked = prove_broker(own_status);
    if (!locked && makes_socket) ::unlink(options.path().c_str());
    return about("broker", std::move(locked));
}

Checked<Service> start(const policy::compiled::Service& options, const ReadPolicy& read,
                       const std::vector<std::string>& own) {
    const policy::Policy& policy = read.policy;
    TRY(prepare_process());
    const UniqueFd state = TRY(open_of_admin(options.statedir(), O_DIRECTORY));
    std::vector<std::string> untouched = own;
    // What is in a folder of hooks is started by root.
    for (const policy::Rule& rule : policy.rules)
        if (!rule.hooks.empty()) untouched.push_back(rule.hooks);
    TRY(files::refuse_links(policy));
    Freezing freezing = TRY(confine_guard(policy, state));
    Service service = TRY(open_by_name(options, policy, state, std::move(freezing)));
    TRY(confine_nursery(service));
    TRY(confine_launcher(service));
    TRY(confine_inspector(service));
    service.session.files_hand = TRY(confine_files({.policy = policy,
                                                    .compiled = read.compiled,
                                                    .own = std::move(untouched),
                                                    .floor = service.session.clock.now()},
                                                   state));
    service.signals = TRY(take_signals());
    TRY(stay_in_memory(service.session));
    TRY(listen_and_lock(service, options));
    sandbox::forget_startup_code();
    return service;
}

}  // namespace sallyport::broker
