// The broker's loop as it is, between peers that the fuzzer plays and files that exist in memory only.
#include "tests/fuzz/stage.hpp"

#include <dirent.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <vector>

#include "ipc/limits.hpp"
#include "sandbox/lockdown.hpp"
#include "tests/fuzz/hours.hpp"
#include "tests/fuzz/played_time.hpp"
#include "tests/support/hours.hpp"

namespace sallyport::sandbox {

// The programs that serve give code pages back here; a fuzzer would read them in again a thousand times a second.
void forget_startup_code() {}

}  // namespace sallyport::sandbox

namespace sallyport::fuzz {

namespace {

constexpr int kManyTurns = 10'000;

/// A state directory in memory, for all runs of this process.
class StateDirectory {
public:
    StateDirectory() {
        std::string path = "/dev/shm/sallyport-fuzz-XXXXXX";
        promise(::mkdtemp(path.data()) != nullptr, "a state directory can be made");
        path_ = path;
        fd_ = UniqueFd(::open(path.c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC));
    }
    ~StateDirectory() { std::filesystem::remove_all(path_); }
    StateDirectory(const StateDirectory&) = delete;
    StateDirectory& operator=(const StateDirectory&) = delete;
    [[nodiscard]] FdRef fd() const { return fd_; }
    void empty() const {
        for (const char* name : {"sallyport.state", "sallyport.frozen"}) ::unlinkat(fd_.get(), name, 0);
    }

private:
    std::string path_;
    UniqueFd fd_;
};

const StateDirectory& state() {
    static const StateDirectory directory;
    return directory;
}

policy::Rule file_rule() {
    policy::Rule rule{.id = "work", .effect = policy::Effect::kAllow};
    policy::FileRule files{.under = "/work", .access = {.read = true, .write = true, .create = true}};
    files.max_size = kChunk * 8;
    files.kinds.regular = true;
    rule.files.push_back(files);
    return rule;
}

ipc::ExecTemplate& add_program(policy::Rule& rule, const char* path, std::uint32_t concurrent) {
    ipc::ExecTemplate& program = rule.exec.emplace_back();
    program.set_program(path);
    program.set_output(100'000);
    program.set_max_runtime_ms(1000);
    program.set_concurrent(concurrent);
    return program;
}

// One that takes all, and one that takes a number below 100.
void add_programs(policy::Rule& rule) {
    ipc::ExecTemplate& open = add_program(rule, "/program", 2);
    open.set_any_args(true);
    open.set_any_env(true);
    open.set_input(kMaxExecInput);
    ipc::ExecTemplate& narrow = add_program(rule, "/narrow", 32);
    narrow.add_args()->set_text("-n");
    narrow.add_args()->mutable_number()->set_most(99);
    narrow.add_host_env("LEVEL");
}

void add_settings(policy::Policy& policy, std::int64_t while_s) {
    policy::Rule settings{.id = "settings", .effect = policy::Effect::kAllow};
    for (const Command& row : kCommands)
        if (row.group == Group::kHardware) settings.commands.add(row.id);
    settings.sets.emplace_back().mutable_time()->set_any(true);
    settings.sets.emplace_back().mutable_blocks()->set_any(true);
    ipc::SetRule::Processors& some = *settings.sets.emplace_back().mutable_vcpus();
    some.set_min_online(1);
    some.mutable_cpus()->add_span()->set_least(1);
    some.mutable_cpus()->mutable_span(0)->set_most(4);
    policy::Rule for_a_while{.id = "for-a-while", .effect = policy::Effect::kAllow};
    for_a_while.commands.add(CommandId::kSetVcpus);
    for_a_while.expires = read_clocks().wall + while_s;
    ipc::SetRule::Processors& fifth = *for_a_while.sets.emplace_back().mutable_vcpus();
    fifth.set_min_online(1);
    fifth.mutable_cpus()->add_span()->set_least(5);
    fifth.mutable_cpus()->mutable_span(0)->set_most(5);
    policy.rules.push_back(settings);
    policy.rules.push_back(for_a_while);
}

void add_work_hours(policy::Policy& policy, bool has_files_elsewhere) {
    constexpr std::int64_t kHour = 3600;
    const std::int64_t now = read_clocks().wall;
    policy.rules[0].when = test::hours_from(now, -kHour, kHour);
    if (has_files_elsewhere) {
        policy::Rule& elsewhere = policy.rules.emplace_back(policy::Rule(policy.rules[0]));
        elsewhere.id = "elsewhere";
        elsewhere.files[0].under = "/elsewhere";
        elsewhere.when.reset();
    }
    policy::Rule& later =
        policy.rules.emplace_back(policy::Rule{.id = "later", .effect = policy::Effect::kAllow});
    later.commands.add(CommandId::kGetLoad);
    later.when = test::hours_from(now, 5 * kHour, 7 * kHour);
}

ipc::AccountTemplate& add_account_rule(policy::Policy& policy, const char* id) {
    policy::Rule& rule = policy.rules.emplace_back();
    rule.id = id;
    rule.effect = policy::Effect::kAllow;
    for (const Command& row : kCommands)
        if (row.group == Group::kAccounts) rule.commands.add(row.id);
    return rule.accounts.emplace();
}

// Ann's, of one type; and everybody's, root but for.
void add_accounts(policy::Policy& policy) {
    ipc::AccountTemplate& hers = add_account_rule(policy, "ann");
    ipc::Account& ann = *hers.add_accounts();
    ann.set_name("ann");
    ann.set_uid(1000);
    ann.set_gid(1000);
    ann.set_home("/home/ann");
    hers.add_key_types("ssh-ed25519");
    hers.set_max_keys(3);
    ipc::AccountTemplate& all = add_account_rule(policy, "everybody");
    all.set_any_user(true);
    all.set_any_key(true);
    all.set_max_keys(kMaxKeys);
    all.set_reset(true);
}

policy::Policy make_policy(Stage::Terms terms) {
    policy::Policy policy;
    policy.audit.goes_on = terms.goes_on;
    policy::Rule work = file_rule();
    policy::Rule denied = file_rule();
    policy::Rule freeze{.id = "freeze", .effect = policy::Effect::kAllow};
    policy::Rule rest{.id = "rest", .effect = policy::Effect::kAllow};
    denied.id = "denied";
    denied.effect = policy::Effect::kDeny;
    denied.files[0].under = "/work/denied";
    denied.commands.add(CommandId::kFileOpen);
    freeze.freeze.emplace().set_max_frozen_ms(1000);
    freeze.freeze->set_per_mount_ms(1000);
    if (terms.has_hooks) freeze.hooks = "/hooks";
    rest.modes.set(static_cast<std::size_t>(policy::Mode::kPowerdown));
    for (const Command& row : kCommands) {
        policy.narrowed_to.add(row.id);
        if (row.group == Group::kFile) work.commands.add(row.id);
        if (row.group == Group::kFreeze) freeze.commands.add(row.id);
        const bool is_rest = row.group == Group::kPower || row.group == Group::kInspect;
        if (is_rest && row.id != CommandId::kGetLoad) rest.commands.add(row.id);
        if (terms.has_programs && row.group == Group::kExec) rest.commands.add(row.id);
    }
    if (terms.has_programs) add_programs(rest);
    policy.rules = {work, denied, freeze, rest};
    if (terms.has_settings) add_settings(policy, terms.while_s);
    if (terms.has_work_hours) add_work_hours(policy, terms.has_files_elsewhere);
    if (terms.has_accounts) add_accounts(policy);
    forget_hours();
    if (terms.hours_shift) add_hours(policy, *terms.hours_shift);
    policy.digest = std::string(32, 'd');
    return policy;
}

broker::Freezing make_freezing(UniqueFd guard) {
    broker::Freezing freezing;
    freezing.guard = std::move(guard);
    freezing.rows = {0, 0, 0, 1};
    auto mark = guard::FrozenMark::open(state().fd());
    promise(mark.has_value() && mark->set(false).has_value(), "the mark can be made");
    freezing.mark = *std::move(mark);
    return freezing;
}

std::unique_ptr<broker::Service> make_service(const policy::Policy& policy, UniqueFd guard,
                                              broker::Audit audit) {
    return std::make_unique<broker::Service>(
        broker::Service{.session = broker::Session{.policy = policy,
                                                   .start_directory = "/",
                                                   .handles = broker::HandleCounter(UniqueFd(), kFirstHandle),
                                                   .clock = ExpiryClock(0, read_clocks()),
                                                   .arena = {},
                                                   .inspector = {},
                                                   .channel = ipc::Welcome::VIRTIO_SERIAL,
                                                   .files = {},
                                                   .freezing = make_freezing(std::move(guard)),
                                                   .worker = {},
                                                   .launch = {}},
                        .channel = {},
                        .nursery = {},
                        .launcher = {},
                        .audit = std::move(audit),
                        .notify = broker::Notify(UniqueFd()),
                        .signals = {}});
}

}  // namespace

Stage::Stage(Terms terms) : policy_(make_policy(terms)) {
    has_hours_ = terms.hours_shift.has_value();
    handles().clear();
    programs().clear();
    state().empty();
    auto audit = broker::Audit::open(recorder.make_ring(), recorder.connect(), policy_);
    promise(audit.has_value(), "the broker's parts can be made");
    service_ = make_service(policy_, guard.connect(), *std::move(audit));
    mark_ = UniqueFd(::openat(state().fd().get(), "sallyport.frozen", O_RDONLY | O_CLOEXEC));
    service_->session.inspector = broker::Inspector(inspector.connect());
    service_->session.files_hand = broker::FilesHand(files.connect());
    service_->launcher = launcher.connect();
    service_->nursery = nursery_.connect();
    service_->session.programs.templates = policy::exec_templates(policy_);
    launcher.templates = service_->session.programs.templates;
    service_->session.settings.rules = policy::set_rules(policy_);
    launcher.rules = service_->session.settings.rules;
    service_->session.accounts.templates = policy::account_templates(policy_);
    launcher.accounts = service_->session.accounts.templates;
    auto host = ipc::socket_pair();
    promise(host.has_value(), "a socket pair can be made");
    service_->channel.kind = policy::compiled::Service::VIRTIO_SERIAL;
    service_->channel.fd = std::move(host->first);
    host_ = std::move(host->second);
    service_->signals = signals_.connect();
    loop_ = std::make_unique<broker::Loop>(broker::Loop{.service = *service_});
    broker::begin(*loop_);
    hear_all();
}

// A test that fails leaves requests behind.
Stage::~Stage() {
    broker::end(*loop_);
}

WorkerView& Stage::worker() {
    int turns = 0;
    while (!is_over() && loop_->stage != broker::Stage::kRunning) {
        promise(++turns < kManyTurns, "a worker is followed by the next");
        if (nursery_.started != 0) end_worker(false);
        pass_time();
    }
    return *view_;
}

void Stage::send(const ipc::Request& request) {
    std::string bytes;
    ipc::encode(request, bytes);
    send_bytes(bytes);
}

void Stage::send_bytes(std::string_view bytes) {
    WorkerView& view = worker();
    // An empty frame is what a closed socket looks like: end_worker(). A longer one than there are is no frame to send().
    if (is_over() || bytes.empty() || bytes.size() > kMaxFrame) return;
    const std::uint64_t number = view.number();
    ipc::Request request;
    std::string scratch;
    const bool is_request = ipc::decode(bytes, request, scratch).has_value();
    (void)ipc::send(nursery_.worker_socket, bytes, ipc::WhenFull::kFail);
    if (is_request) view.asked(request);
    turn();
    if (loop_->had_violation)
        book_.expect_violation(number, request);
    else if (is_request)
        book_.expect(number, request);
    promise(is_request || loop_->had_violation, "what is no request ends the worker");
    hear_all();
}

void Stage::end_worker(bool closes_first, int exit_status) {
    if (nursery_.started == 0) return;
    if (closes_first) {
        nursery_.worker_socket.reset();
        settle();
    }
    ipc::NurseryReply report;
    ipc::WorkerEnded& ended = *report.mutable_worker_ended();
    ended.set_id(std::exchange(nursery_.started, 0));
    ended.set_exit_status(nursery_.is_told_to_kill ? -1 : exit_status);
    ended.set_signal(nursery_.is_told_to_kill ? 9 : 0);
    nursery_.say(report);
    const UniqueFd closed_last = std::move(nursery_.worker_socket);
    settle();
}

void Stage::let_worker_linger() {
    nursery_.worker_socket.reset();
    settle();
}

void Stage::say_as_nursery(const ipc::NurseryReply& report) {
    nursery_.say(report);
    settle();
}

void Stage::lose_nursery() {
    nursery_.socket.reset();
    settle();
}

void Stage::pass_time(std::int64_t ns) {
    pass_ns(ns);
    settle();
}

// What a signalfd gives, from a socket.
void Stage::send_signal(int number) {
    signalfd_siginfo info{};
    info.ssi_signo = static_cast<std::uint32_t>(number);
    const std::span<const char> bytes(reinterpret_cast<const char*>(&info), sizeof info);
    (void)ipc::send(signals_.socket, {bytes.data(), bytes.size()}, ipc::WhenFull::kFail);
    settle();
}

void Stage::stop() {
    send_signal(SIGTERM);
}

void Stage::turn() {
    if (loop_->exit_status) return;
    broker::turn(*loop_);
    check_state();
}

void Stage::settle() {
    int turns = 0;
    do {
        promise(++turns < kManyTurns, "the broker comes to rest");
        turn();
        hear_all();
    } while (!loop_->exit_status && !found_nothing());
}

// A clerk's report comes at once, unless files do not answer.
void Stage::hear_all() {
    hear_peers();
    while (files.act()) {
        turn();
        hear_peers();
    }
}

void Stage::hear_peers() {
    guard.take_orders();
    launcher.take_orders();
    inspector.take_orders();
    recorder.act();
    nursery_.take_orders();
    if (nursery_.started != 0 && (!view_ || view_->number() != nursery_.started)) {
        const broker::WorkerState& worker = service_->session.worker;
        promise(worker.number == nursery_.started && !worker.has_greeted,
                "a worker starts with a state of its own");
        view_.emplace(nursery_.started);
        auto arena = ipc::Arena::map(std::move(nursery_.arena));
        promise(arena.has_value(), "a worker can map its arena");
        arena_.reset();
        arena_.emplace(*std::move(arena));
        is_muted_ = false;
    }
    ipc::Frame& frame = nursery_.frame;
    while (!is_muted_ && nursery_.worker_socket.is_open()) {
        const auto got = ipc::receive(nursery_.worker_socket, frame);
        if (!got || !*got) break;
        ipc::Reply reply;
        std::string scratch;
        promise(ipc::decode(frame.bytes, reply, scratch).has_value(), "the broker's frames are canonical");
        promise(frame.bytes.find(kSecret) == frame.bytes.npos, "a password is told to no worker");
        if (const ipc::Request* done = view_->hear(reply, *arena_); done != nullptr && !policy_.audit.goes_on)
            book_.expect_line(view_->number(), *done);
    }
}

// THE PROMISES about the frozen state: flag, mark and guard agree, and the recorder, who alone writes, is held.
void Stage::check_state() {
    const broker::Freezing& freezing = service_->session.freezing;
    char mark = ' ';
    promise(::pread(mark_.get(), &mark, 1, 0) == 1 && freezing.is_frozen == (mark != ' '),
            "the mark says what is so");
    guard.take_orders();
    const bool may_be_frozen = guard.has_frozen();
    promise(freezing.is_frozen || !may_be_frozen, "what the guard has frozen the broker knows to be frozen");
    promise(!may_be_frozen || recorder.is_held(), "the recorder is held while a disk may be frozen");
}

void Stage::bring_peers_to_rest() {
    Draw none({});
    for (int turns = 0; turns < 1000; ++turns) {
        const bool is_guard_busy = guard.is_busy();
        if (is_guard_busy) guard.come_to_rest();
        if (launcher.is_busy()) launcher.act(none);
        inspector.act(none);
        settle();
        if (!is_guard_busy && !guard.is_busy() && !launcher.is_busy()) return;
    }
    promise(false, "guard and launcher come to rest");
}

// The worker does its part of what is under way; then nothing must be left.
void Stage::end_requests() {
    if (is_muted_) end_worker(true);
    if (worker(); !view_->is_greeted()) greet();
    bring_peers_to_rest();
    // Who asks whether a program still runs waits so long at most.
    pass_time(kStatusPatienceNs);
    for (int parts = 0; parts < 300 && view_->has_transfer(); ++parts) {
        ipc::Request part;
        part.set_seq(view_->transfer());
        if (view_->coming > 0) {
            ipc::Extent& extent = *part.mutable_chunk_filled()->mutable_data();
            extent.set_size(static_cast<std::uint32_t>(std::min<std::uint64_t>(kChunk, view_->coming)));
        } else {
            part.mutable_chunk_used();
        }
        send(part);
        promise(!loop_->had_violation, "a worker that does its part is not ended");
    }
    view_->print();
    promise(view_->unanswered() == 0, "every request has a reply");
}

void Stage::greet() {
    ipc::Request hello;
    hello.mutable_hello();
    send(hello);
    promise(view_->is_greeted(), "a worker that greets is welcomed");
}

void Stage::fill_arena(std::string_view bytes) {
    if (bytes.empty()) return;
    const auto place = arena_->extent(0, static_cast<std::uint32_t>(bytes.size()));
    promise(place.has_value(), "what the worker fills in is no more than the arena takes");
    std::ranges::copy(std::as_bytes(std::span(bytes)), place->begin());
}

void Stage::finish() {
    recorder.is_stuck = false;
    files.is_stuck = false;
    // Whoever waits for one that was taken over need not get a reply.
    if (launcher.is_taken_over) launcher.socket.reset();
    settle();
    if (!is_over()) {
        end_requests();
        ipc::Request thaw;
        thaw.set_seq(view_->last_seq() + 1);
        thaw.mutable_fsfreeze_thaw();
        send(thaw);
        bring_peers_to_rest();
        promise(view_->is_done(thaw.seq()), "a thaw is carried out");
        const broker::Freezing& freezing = service_->session.freezing;
        promise(!freezing.is_frozen && !freezing.freeze && !freezing.trim && !freezing.thaw,
                "everything is thawed");
        promise(freezing.hooks == broker::Hooks::kNone && !service_->session.launch,
                "no program is under way");
        promise(broker::phase_of(service_->session) == broker::WorkerPhase::kIdle,
                "a worker without requests is idle");
        end_worker(true);
        pass_time();
        greet();
        stop();
        promise(loop_->exit_status == 0, "the broker ends when it is told to");
    }
    bring_peers_to_rest();
    if (!loop_->exit_status) pass_time();
    promise(loop_->exit_status.has_value(), "the broker ends in time");
    broker::end(*loop_);
    recorder.take_all();
    promise(recorder.log().find(kSecret) == std::string::npos, "a password is in no line of the log");
    book_.compare(recorder.log());
}

std::size_t count_descriptors() {
    std::size_t count = 0;
    DIR* folder = ::opendir("/proc/self/fd");
    while (::readdir(folder) != nullptr) ++count;
    ::closedir(folder);
    return count;
}

}  // namespace sallyport::fuzz
