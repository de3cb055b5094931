// The broker executable: takes over from the starter, locks itself down, proves it, and serves.
// Runs in:  broker
// Input:    what the starter hands over; afterwards frames
#include <sys/socket.h>
#include <unistd.h>

#include <cstdio>

#include "broker/take_over.hpp"
#include "ipc/codec.hpp"
#include "sandbox/landlock.hpp"
#include "sandbox/lockdown.hpp"
#include "sandbox/proof.hpp"

namespace sallyport::broker {
namespace {

constexpr int kFailure = 1;

void complain(const Complaint& complaint, int to) {
    ::dprintf(to, "sallyport-broker: %s\n", text_of(complaint).c_str());
}

// Until the seccomp filter is installed, errors also go to the terminal.
Checked<Service> begin(Inheritance& inheritance, const policy::Policy& policy) {
    Service service = TRY(make_service(inheritance, policy));
    // While a disk is frozen none of our pages may have to be read from it.
    if (service.session.freezing.guard.is_open()) TRY(about("broker", sandbox::lock_memory()));
    const sandbox::Needs needs{.listens = service.channel.listens(),
                               .asks_files = service.session.files_hand.parent().get() >= 0,
                               .freezes = service.session.freezing.guard.is_open()};
    TRY(about("broker", sandbox::lockdown_broker(needs)));
    return service;
}

Status prove(FdRef own_status) {
    const bool is_root = ::geteuid() == 0;
    const sandbox::Expected expected{
        .uid = ::geteuid(), .gid = ::getegid(), .groups_are_ours = is_root, .bounding_is_ours = is_root};
    return sandbox::compare(expected, TRY(sandbox::read_credentials(own_status)));
}

// What the rule does from now on.
const char* reason_of(Handover::Missing::Why why) {
    switch (why) {
        case Handover::Missing::NO_ANSWER:
            return "nobody told in time what is at this path; each open looks for links on the way to it";
        case Handover::Missing::DENIED_NO_ANSWER:
            return "nobody told in time what is at this path; it is denied by name, and as what the name "
                   "means at each open";
        default:
            return "the directory does not exist now; the rule grants nothing until it does";
    }
}

void note_bounds(Handover::ProgramBounds bounds, Audit& audit) {
    if (bounds != Handover::PROCESSES && bounds != Handover::KILLED_AS_GROUPS) return;
    Record record;
    record.what = "programs-without-control-group";
    record.reason =
        bounds == Handover::PROCESSES
            ? "none was left to us (Delegate=memory pids): memory is bounded for each process, tasks for "
              "each "
              "user but root, and a program that has to end is killed process by process"
            : "the controllers memory and pids are not to be had: memory is bounded for each process, tasks "
              "for each user but root";
    audit.write(record);
}

void note_kernel(int landlock, Audit& audit) {
    const auto lacks = sandbox::landlock::lacking(landlock);
    if (lacks.empty()) return;
    Record older;
    older.what = "older-kernel";
    older.arguments.add("landlock", landlock);
    for (const auto& [version, kernel, text] : lacks) older.arguments.add(kernel, text);
    older.reason = "the kernel's Landlock cannot do what these versions of Linux brought; all else holds";
    audit.write(older);
}

void note_state(const Handover& from, Audit& audit) {
    if (from.state_is_open()) {
        Record open;
        open.what = "state-directory-open";
        open.reason =
            "others can read or enter it, and so hold up this log: take that from them (chmod go-rwx)";
        audit.write(open);
    }
    if (from.denied_not_kept() != 0) {
        Record lost;
        lost.what = "denied-not-kept";
        lost.reason =
            "sallyport.denied cannot be written: what is renamed while no agent runs is not denied then";
        lost.sys_errno = from.denied_not_kept();
        audit.write(lost);
    }
    if (from.budgets_not_kept() != 0) {
        Record spent;
        spent.what = "budgets-not-kept";
        spent.reason =
            "sallyport.budgets cannot be written: what has a budget is refused until the agent is started "
            "again";
        spent.sys_errno = from.budgets_not_kept();
        audit.write(spent);
    }
}

void record_start(Service& service, const Handover& from) {
    for (const Handover::Missing& missing : from.missing()) {
        Record record;
        const bool is_known = missing.why() == Handover::Missing::NOT_THERE;
        record.what = is_known ? "rule-without-directory" : "rule-without-answer";
        record.rule = missing.rule();
        record.arguments.add("under", missing.under());
        record.reason = reason_of(missing.why());
        service.audit.write(record);
    }
    Record record;
    record.what = "start";
    record.arguments.add("version", SALLYPORT_VERSION);
    record.arguments.add("policy", from.options().policy());
    record.arguments.add("channel", policy::compiled::Service::Method_Name(from.options().method()));
    record.arguments.add("path", from.options().path());
    service.audit.write(record);
    note_kernel(from.landlock(), service.audit);
    note_state(from, service.audit);
    note_bounds(from.program_bounds(), service.audit);
    const ClockReading clocks = read_clocks();
    if (service.session.clock.now().latest <= clocks.wall) return;
    Record behind;
    behind.what = "clock-behind";
    behind.arguments.add("seen", service.session.clock.now().latest);
    behind.reason = "the clock was later before; rules expire by the latest time that was seen";
    service.audit.write(behind);
}

int fail(const Complaint& complaint, const Inheritance& inheritance) {
    const FdRef terminal = inheritance.look(Handover::TERMINAL);
    complain(complaint, STDERR_FILENO);
    if (terminal.get() >= 0 && !inheritance.message().options().logfile().empty())
        complain(complaint, terminal.get());
    if (inheritance.message().made_socket()) ::unlink(inheritance.message().options().path().c_str());
    return kFailure;
}

// Releases what only the start needed. False if nobody waits for us any more.
bool let_go(Inheritance& inheritance) {
    inheritance.take(Handover::TERMINAL).reset();
    inheritance.take(Handover::OWN_STATUS).reset();
    const UniqueFd parent = inheritance.take(Handover::PARENT);
    return !parent.is_open() || ::send(parent.get(), "1", 1, MSG_NOSIGNAL) == 1;
}

int run(Inheritance& inheritance) {
    const auto policy = load_policy(inheritance.message().policy(), inheritance.message().options());
    if (!policy) return fail({policy.error(), "policy"}, inheritance);
    auto service = begin(inheritance, *policy);
    if (!service) return fail(service.error(), inheritance);
    if (const auto proved = prove(inheritance.look(Handover::OWN_STATUS)); !proved) {
        complain({proved.error(), "broker"}, STDERR_FILENO);
        return kFailure;
    }
    record_start(*service, inheritance.message());
    sandbox::forget_startup_code();
    service->notify.say("READY=1\nSTATUS=serving\n");
    return let_go(inheritance) ? serve(*service) : kFailure;
}

int main_of_broker() {
    ipc::silence_protobuf();
    auto inheritance = Inheritance::take();
    if (inheritance) return run(*inheritance);
    complain({inheritance.error(), "broker"}, STDERR_FILENO);
    return kFailure;
}

}  // namespace
}  // namespace sallyport::broker

int main() {
    return sallyport::broker::main_of_broker();
}
