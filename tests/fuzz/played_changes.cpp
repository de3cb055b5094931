// The launcher's errands and setters, played by the fuzzer: passwords, keys, the clock, processors and memory blocks change in name
// only.
#include <algorithm>
#include <cerrno>

#include "base/clock.hpp"
#include "ipc/limits.hpp"
#include "tests/fuzz/played_launcher.hpp"
#include "tests/fuzz/played_time.hpp"

namespace sallyport::fuzz {

namespace {

using ipc::AccountDone;
using ipc::SetDone;
using ipc::SetResult;

constexpr std::int64_t kNsPerSecond = 1'000'000'000;
// The fuzzer itself goes by this clock, and gives up a run that takes 1200 s, or less than nothing.
constexpr std::int64_t kFarthest = 1000;  // seconds

policy::AccountRequest request_of(const ipc::AccountTemplate& by, const ipc::AccountOrder& order) {
    policy::AccountRequest want{.command = static_cast<CommandId>(by.command()),
                                .user = order.user(),
                                .secret = order.password().secret(),
                                .crypted = order.password().crypted()};
    const ipc::AccountOrder::Keys& keys = order.has_add() ? order.add() : order.remove();
    want.keys.assign(keys.lines().begin(), keys.lines().end());
    want.reset = keys.reset();
    return want;
}

CommandId command_of(const ipc::AccountOrder& order) {
    switch (order.work_case()) {
        case ipc::AccountOrder::kPassword:
            return CommandId::kSetUserPassword;
        case ipc::AccountOrder::kAdd:
            return CommandId::kSshAddAuthorizedKeys;
        case ipc::AccountOrder::kRemove:
            return CommandId::kSshRemoveAuthorizedKeys;
        default:
            return CommandId::kSshGetAuthorizedKeys;
    }
}

AccountDone::Kind draw_kind(Draw& draw) {
    return draw.one_of({AccountDone::DONE, AccountDone::DONE, AccountDone::DONE, AccountDone::NO_USER,
                        AccountDone::EXITED, AccountDone::NOT_READ, AccountDone::NO_DIRECTORY,
                        AccountDone::NOT_WRITTEN, AccountDone::TOO_MANY, AccountDone::TOO_LARGE,
                        AccountDone::NOT_STARTED, AccountDone::LATE, AccountDone::KILLED,
                        AccountDone::EXPIRED});
}

void fill_in(const std::string& user, AccountDone::Kind kind, Draw& draw, AccountDone& done) {
    done.set_kind(kind);
    if (kind != AccountDone::DONE) {
        done.set_status(draw.one_of({0, 1, EACCES, -1}));
        return done.set_file(draw.one_of({"/home/ann/.ssh", "", "/home/\xff\n"}));
    }
    for (std::size_t left = draw.one_of({0U, 1U, 3U, 1000U}); left > 0; --left)
        done.add_lines("of " + user.substr(0, 16));
    if (draw.rarely(8)) done.add_lines("of " + user + std::string(kMaxAccountOrder / 2, ' '));
}

SetResult::How draw_failure(const ipc::SetOrder& order, Draw& draw) {
    if (order.has_vcpus())
        return draw.one_of({SetResult::CPU_DIRECTORY, SetResult::CPU_OPEN, SetResult::CPU_READ,
                            SetResult::CPU_FIXED, SetResult::CPU_WRITE, SetResult::BEYOND});
    if (order.has_blocks())
        return draw.one_of({SetResult::BLOCK_MISSING, SetResult::BLOCK_UNSUPPORTED, SetResult::BLOCK_FAILED});
    return draw.one_of(
        {SetResult::CLOCK, SetResult::NO_RTC, SetResult::RTC_READ, SetResult::RTC_WRITE, SetResult::BEYOND});
}

int items_of(const ipc::SetOrder& order) {
    if (order.has_vcpus()) return order.vcpus().item_size();
    return order.has_blocks() ? order.blocks().item_size() : 1;
}

// All of them, or of processors those up to the first that fails.
void add_results(const ipc::SetOrder& order, int count, Draw& draw, SetDone& done) {
    while (done.result_size() < count) {
        SetResult& one = *done.add_result();
        one.set_how(SetResult::DONE);
        if (!draw.rarely(4)) continue;
        one.set_how(draw_failure(order, draw));
        one.set_sys_errno(draw.one_of({EIO, 0, -1}));
        if (order.has_vcpus()) return;
    }
}

void set_clock(const ipc::SetOrder& order, const SetDone& done) {
    const bool is_set = order.has_time() && order.time().has_to_ns() && done.result_size() == 1 &&
                        done.result(0).how() == SetResult::DONE;
    if (!is_set) return;
    const std::int64_t real = wall_ns() / kNsPerSecond - wall_offset();
    set_wall_offset(std::clamp(order.time().to_ns() / kNsPerSecond - real, std::int64_t{0}, kFarthest));
}

}  // namespace

// THE PROMISE: another order comes when the one before has been reported, or is too late.
void PlayedLauncher::note_told(Told& last, std::uint64_t number, std::int64_t most_ns) {
    promise(number > last.number, "an order has a number of its own");
    promise(boottime_ns() >= last.due_ns.value_or(0), "one order comes after the other");
    last = {.number = number, .due_ns = boottime_ns() + most_ns};
}

void PlayedLauncher::note_reported(Told& last, std::uint64_t number) {
    if (number == last.number) last.due_ns.reset();
}

// THE PROMISES: the launcher, which decides again, is never asked for what it would not do.
void PlayedLauncher::change(const ipc::AccountOrder& order, Draw& draw) {
    const auto at = static_cast<int>(order.template_());
    promise(at < accounts.size(), "an account is one of a rule");
    promise(static_cast<CommandId>(accounts[at].command()) == command_of(order),
            "a template is for its command");
    const auto miss = policy::match_account(accounts[at], request_of(accounts[at], order), 0);
    promise(miss == policy::AccountMiss::kNothing, "what is changed the policy allows");
    note_reported(account_, order.number());
    ipc::LauncherReply reply;
    reply.mutable_account_done()->set_number(order.number());
    fill_in(order.user(), draw_kind(draw), draw, *reply.mutable_account_done());
    if (!order.has_list()) reply.mutable_account_done()->clear_lines();
    say(reply);
}

void PlayedLauncher::set(const ipc::SetOrder& order, Draw& draw) {
    promise(policy::decide_set(rules, order, {}).at >= 0, "what is set the policy allows");
    note_reported(setting_, order.number());
    ipc::LauncherReply reply;
    SetDone& done = *reply.mutable_set_done();
    const int all = items_of(order);
    done.set_number(order.number());
    done.set_end(SetDone::WHOLE);
    if (draw.rarely(4) && all > 0) {
        done.set_end(
            draw.one_of({SetDone::LATE, SetDone::LOST, SetDone::EXPIRED, SetDone::BUSY, SetDone::FAILED}));
        const bool has_begun = done.end() == SetDone::LATE || done.end() == SetDone::LOST;
        if (has_begun) add_results(order, static_cast<int>(draw.below(256)) % all, draw, done);
        // It was told to end when it had just ended.
        const auto failed = std::ranges::find_if(done.result(), [](const SetResult& one) {
            return one.how() != SetResult::DONE && one.how() != SetResult::NO_RTC;
        });
        if (order.has_vcpus() && failed != done.result().end()) done.set_end(SetDone::WHOLE);
    } else {
        add_results(order, all, draw, done);
    }
    set_clock(order, done);
    say(reply);
}

void PlayedLauncher::lie_about_account(Draw& draw) {
    ipc::LauncherReply reply;
    reply.mutable_account_done()->set_number(account_.number + 1 - draw.below(4));
    fill_in("a lie", draw.rarely(8) ? AccountDone::KIND_UNSPECIFIED : draw_kind(draw), draw,
            *reply.mutable_account_done());
    note_reported(account_, reply.account_done().number());
    say(reply);
}

void PlayedLauncher::lie_about_setting(Draw& draw) {
    ipc::LauncherReply reply;
    SetDone& done = *reply.mutable_set_done();
    done.set_number(setting_.number + 1 - draw.below(4));
    note_reported(setting_, done.number());
    done.set_end(draw.one_of({SetDone::WHOLE, SetDone::LATE, SetDone::EXPIRED, SetDone::END_UNSPECIFIED}));
    for (std::size_t left = draw.one_of({0U, 1U, 2U, 1024U}); left > 0; --left)
        done.add_result()->set_how(
            draw.one_of({SetResult::DONE, SetResult::BEYOND, SetResult::CPU_WRITE, SetResult::BLOCK_MISSING,
                         SetResult::RTC_WRITE, SetResult::HOW_UNSPECIFIED}));
    say(reply);
}

}  // namespace sallyport::fuzz
