// What the broker does between its command line and its first host byte.
// Runs in:  broker, before and during lockdown()
// Input:    the admin's files; their owners and modes are checked on the opened descriptors
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
#include "broker/launch.hpp"
#include "broker/prove.hpp"
#include "ipc/limits.hpp"

namespace sallyport::broker {

namespace {

Result<UniqueFd> open_state_directory(const std::string& path) {
    auto directory =
        open_checked(path, O_DIRECTORY, "the state directory belongs to others or can be written by them");
    if (!directory) std::fprintf(stderr, "sallyportd: state directory %s\n", path.c_str());
    return directory;
}

// Blocked signals are read from a descriptor, so that nothing is interrupted; SIGPIPE is an errno to us.
Result<UniqueFd> take_signals() {
    sigset_t set;
    ::sigemptyset(&set);
    ::sigaddset(&set, SIGTERM);
    ::sigaddset(&set, SIGINT);
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

Result<std::string> working_directory() {
    std::array<char, 4096> text{};
    if (::getcwd(text.data(), text.size()) == nullptr) return system_error("getcwd");
    return std::string(text.data());
}

void add_needs(const policy::FileRule& rule, FdRef tree, sandbox::BrokerNeeds& needs) {
    needs.reads_files |= rule.access.read;
    needs.writes_files |= rule.access.write;
    needs.creates_files |= rule.access.create;
    needs.others_files |= rule.owners != std::vector{static_cast<std::uint32_t>(::geteuid())};
    needs.trees.push_back({.path = rule.under,
                           .fd = tree.get(),
                           .read = rule.access.read,
                           .write = rule.access.write,
                           .create = rule.access.create,
                           .list = rule.kinds.directory});
}

void log_start(Audit& audit, const policy::compiled::Service& options, const policy::Policy& policy,
               const RuleTrees& trees) {
    for (std::size_t rule = 0; rule < policy.rules.size(); ++rule) {
        for (std::size_t file = 0; file < trees[rule].size(); ++file) {
            if (trees[rule][file].is_open() || policy.rules[rule].effect == policy::Effect::kDeny) continue;
            Record record;
            record.what = "rule-without-directory";
            record.rule = policy.rules[rule].id;
            record.arguments.add("under", policy.rules[rule].files[file].under);
            record.reason =
                "the directory does not exist; the rule grants nothing below it until the next start";
            audit.write(record);
        }
    }
    Record record;
    record.what = "start";
    record.arguments.add("version", SALLYPORT_VERSION);
    record.arguments.add("policy", options.policy());
    record.arguments.add("channel", policy::compiled::Service::Method_Name(options.method()));
    record.arguments.add("path", options.path());
    audit.write(record);
}

Status prepare_process() {
    // Groups of whoever started us would be the nursery's, too, and it cannot drop them itself.
    if (::geteuid() == 0 && ::setgroups(0, nullptr) != 0) return system_error("setgroups");
    rlimit files{};
    if (::getrlimit(RLIMIT_NOFILE, &files) != 0) return system_error("getrlimit");
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
    auto mark = guard::FrozenMark::open(state);
    if (!mark) return std::unexpected(mark.error());
    freezing.mark = *std::move(mark);
    return freezing.mark->set(freezing.is_frozen);
}

// Everything that is opened by name, so that nothing need be later.
Result<Service> open_by_name(const policy::compiled::Service& options, const policy::Policy& policy,
                             FdRef state, Freezing freezing) {
    auto handles = HandleCounter::open(state);
    if (!handles) return std::unexpected(handles.error());
    auto audit = Audit::open(state, policy.digest);
    if (!audit) return std::unexpected(audit.error());
    if (freezing.is_frozen) audit->hold();
    if (const auto marked = open_mark(freezing, state); !marked) return std::unexpected(marked.error());
    auto notify = Notify::connect();
    if (!notify) return std::unexpected(notify.error());
    auto channel = open_channel(options, policy);
    if (!channel) return std::unexpected(channel.error());
    auto directory = working_directory();
    if (!directory) return std::unexpected(directory.error());
    UniqueFd proc_self_fd(::open("/proc/self/fd", O_PATH | O_DIRECTORY | O_CLOEXEC));
    if (!proc_self_fd.is_open()) return system_error("/proc/self/fd");
    auto arena = ipc::Arena::create();
    if (!arena) return std::unexpected(arena.error());
    RuleTrees trees = open_trees(policy);
    log_start(*audit, options, policy, trees);
    const auto kind = wire_kind(channel->kind);
    return Service{.session = Session{.policy = policy,
                                      .trees = std::move(trees),
                                      .proc_self_fd = std::move(proc_self_fd),
                                      .start_directory = *std::move(directory),
                                      .handles = *std::move(handles),
                                      .arena = *std::move(arena),
                                      .inspector = {},
                                      .channel = kind,
                                      .files = {},
                                      .freezing = std::move(freezing),
                                      .worker = {},
                                      .launch = {}},
                   .channel = *std::move(channel),
                   .nursery = {},
                   .launcher = {},
                   .audit = *std::move(audit),
                   .notify = *std::move(notify),
                   .signals = {}};
}

}  // namespace

RuleTrees open_trees(const policy::Policy& policy) {
    RuleTrees trees;
    for (const policy::Rule& rule : policy.rules) {
        std::vector<UniqueFd>& of_rule = trees.emplace_back();
        for (const policy::FileRule& file : rule.files)
            of_rule.emplace_back(rule.effect == policy::Effect::kAllow
                                     ? ::open(file.under.c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC)
                                     : -1);
    }
    return trees;
}

sandbox::BrokerNeeds needs_of(const policy::Policy& policy, const RuleTrees& trees, const Channel& channel,
                              FdRef state_directory) {
    sandbox::BrokerNeeds needs{.listens = channel.listens(), .state_directory = state_directory.get()};
    for (std::size_t rule = 0; rule < policy.rules.size(); ++rule)
        for (std::size_t file = 0; file < trees[rule].size(); ++file)
            if (trees[rule][file].is_open())
                add_needs(policy.rules[rule].files[file], trees[rule][file], needs);
    return needs;
}

Result<Service> start(const policy::compiled::Service& options, const policy::Policy& policy) {
    if (const auto prepared = prepare_process(); !prepared) return std::unexpected(prepared.error());
    const auto state = open_state_directory(options.statedir());
    if (!state) return std::unexpected(state.error());
    const UniqueFd own_status(::open("/proc/self/status", O_RDONLY | O_CLOEXEC));
    if (!own_status.is_open()) return system_error("/proc/self/status");
    auto freezing = confine_guard(policy, *state);
    if (!freezing) return std::unexpected(freezing.error());
    auto service = open_by_name(options, policy, *state, *std::move(freezing));
    if (!service) return service;
    if (const auto confined = confine_nursery(*service); !confined) return std::unexpected(confined.error());
    if (const auto confined = confine_launcher(*service); !confined) return std::unexpected(confined.error());
    if (const auto confined = confine_inspector(*service); !confined)
        return std::unexpected(confined.error());
    auto signals = take_signals();
    if (!signals) return std::unexpected(signals.error());
    service->signals = *std::move(signals);
    if (const auto kept = stay_in_memory(service->session); !kept) return std::unexpected(kept.error());
    const sandbox::BrokerNeeds needs = needs_of(policy, service->session.trees, service->channel, *state);
    if (const auto locked = sandbox::lockdown_broker(needs); !locked) return std::unexpected(locked.error());
    if (const auto proved = prove_broker(own_status, needs); !proved) return std::unexpected(proved.error());
    sandbox::forget_startup_code();
    return service;
}

}  // namespace sallyport::broker
