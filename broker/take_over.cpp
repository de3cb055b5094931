// Runs in:  broker, before lockdown()
#include "broker/take_over.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "broker/serve/workers.hpp"
#include "ipc/codec.hpp"
#include "ipc/limits.hpp"

namespace sallyport::broker {

namespace {

constexpr int kSetup = 3;
constexpr int kFirst = kSetup + 1;
constexpr int kClerkMs = 10'000;

using policy::compiled::Service_Method;

Result<std::string> read_whole(FdRef file) {
    struct stat info{};
    if (::fstat(file.get(), &info) != 0)
        return system_error("the starter's setup (is this run by sallyportd?)");
    std::string text(static_cast<std::size_t>(info.st_size), '\0');
    const ssize_t got = ::pread(file.get(), text.data(), text.size(), 0);
    if (got < 0) return system_error("the starter's setup");
    text.resize(static_cast<std::size_t>(got));
    return text;
}

ipc::Welcome::Channel wire_kind(ChannelKind kind) {
    if (kind == policy::compiled::Service::VIRTIO_SERIAL) return ipc::Welcome::VIRTIO_SERIAL;
    if (kind == policy::compiled::Service::ISA_SERIAL) return ipc::Welcome::ISA_SERIAL;
    return ipc::Welcome::STREAM;
}

Freezing take_freezing(Inheritance& from, const policy::Policy& policy) {
    Freezing freezing;
    freezing.guard = from.take(Handover::GUARD);
    freezing.rows.resize(policy.rules.size());
    std::uint32_t row = 0;
    for (const std::size_t at : policy::freeze_rules(policy)) freezing.rows[at] = row++;
    if (freezing.guard.is_open())
        freezing.mark.emplace(from.take(Handover::FROZEN_MARK), from.message().boot());
    freezing.is_frozen = from.message().is_frozen();
    return freezing;
}

// Makes sure that the hand can start a clerk; this one is ready for the first host.
Result<FilesHand> take_files(UniqueFd socket) {
    if (!socket.is_open()) return FilesHand();
    FilesHand hand(std::move(socket));
    if (!hand.want_clerk()) return failure(Errc::kClosed, "it is gone");
    TRY(wait_readable(hand.parent(), kClerkMs));
    if (const int fault = TRY(hand.hear_parent()); fault != 0)
        return std::unexpected(Error{Errc::kSystem, "it cannot start a process", fault});
    return hand;
}

}  // namespace

Result<policy::Policy> load_policy(std::string_view compiled, const policy::compiled::Service& options) {
    policy::Policy policy = TRY(policy::load(compiled));
    // As if each rule with a freeze had named the hook of -F.
    for (policy::Rule& rule : policy.rules)
        if (rule.freeze && rule.hooks.empty()) rule.hooks = options.fsfreeze_hook();
    // The launcher has a single hook directory. policy::load() has seen only what rules name.
    const std::string* hooks = nullptr;
    for (const policy::Rule& rule : policy.rules) {
        if (rule.hooks.empty()) continue;
        if (hooks != nullptr && *hooks != rule.hooks)
            return failure(
                Errc::kInvalid,
                "a rule's 'hooks' are others than those of -F (--fsfreeze-hook): name one, or the same");
        hooks = &rule.hooks;
    }
    policy.narrowed_to = {};
    for (const std::uint32_t number : options.commands())
        if (const auto command = command_from_number(number)) policy.narrowed_to.add(*command);
    return policy;
}

Result<Inheritance> Inheritance::take() {
    Inheritance all;
    std::string scratch;
    const UniqueFd setup(kSetup);
    const std::string bytes = TRY(read_whole(setup));
    TRY(ipc::decode(bytes, all.message_, scratch));
    int next = kFirst;
    for (const int what : all.message_.descriptors()) {
        const bool is_known = what > 0 && what < Handover::Descriptor_ARRAYSIZE;
        if (!is_known || all.descriptors_.at(static_cast<std::size_t>(what)).is_open())
            return failure(Errc::kInvalid, "the starter's setup names no such descriptor");
        all.descriptors_.at(static_cast<std::size_t>(what)) = UniqueFd(next++);
    }
    // Our own executable is the descriptor after them.
    if (::close_range(static_cast<unsigned>(next), ~0U, 0) != 0) return system_error("close_range");
    return all;
}

Checked<Service> make_service(Inheritance& from, const policy::Policy& policy) {
    const Handover& message = from.message();
    Freezing freezing = take_freezing(from, policy);
    ipc::Ring ring = TRY(about("recorder", ipc::Ring::map(from.take(Handover::RING))));
    Audit audit = TRY(about("recorder", Audit::open(std::move(ring), from.take(Handover::RECORDER), policy)));
    if (freezing.is_frozen) audit.hold();
    FilesHand files_hand = TRY(about("files", take_files(from.take(Handover::FILES))));
    Service service{
        .session = Session{.policy = policy,
                           .start_directory = message.directory(),
                           .handles = HandleCounter(from.take(Handover::STATE_LOCK), message.first_handle()),
                           .clock = ExpiryClock(message.floor(), read_clocks()),
                           .files_hand = std::move(files_hand),
                           .arena = {},
                           .inspector = Inspector(from.take(Handover::INSPECTOR)),
                           .channel = wire_kind(message.channel()),
                           .files = {},
                           .freezing = {},
                           .worker = {},
                           .launch = {}},
        .channel = {.kind = message.channel(), .fd = from.take(Handover::CHANNEL)},
        .nursery = from.take(Handover::NURSERY),
        .launcher = from.take(Handover::LAUNCHER),
        .audit = std::move(audit),
        .notify = Notify(from.take(Handover::NOTIFY)),
        .signals = from.take(Handover::SIGNALS)};
    // Assigned afterwards: if it is initialised as part of this aggregate, g++ 12 (-ftrivial-auto-var-init=zero) overwrites four
    // bytes of the mark while it clears padding.
    service.session.freezing = std::move(freezing);
    service.session.programs.templates = policy::exec_templates(policy);
    service.session.budgets = {.buckets = policy::buckets(policy),
                               .due = {message.due().begin(), message.due().end()}};
    if (service.session.budgets.due.size() != service.session.budgets.buckets.size())
        return failure(Errc::kInvalid, "the starter's setup has other budgets than the policy");
    service.session.accounts.templates = policy::account_templates(policy);
    service.session.settings.rules = policy::set_rules(policy);
    service.session.dry_run = dry_run_of(policy);
    return service;
}

}  // namespace sallyport::broker
