// The launcher and the supervisors of programs, played by the fuzzer: what a host starts runs in name only.
#include "tests/fuzz/played_launcher.hpp"

#include <algorithm>
#include <cerrno>
#include <iterator>

#include "base/clock.hpp"
#include "ipc/limits.hpp"

namespace sallyport::fuzz {

namespace {

constexpr std::size_t kMostOfOthers = 2;  // the hooks, and a row
// What each program is let go by, a part of an order, and a part of an output.
constexpr std::size_t kMostAboutPrograms = kMaxPrograms + 2;

// These are bounded by time: note_told().
bool is_change(const ipc::LauncherRequest& order) {
    return order.has_account() || order.has_set();
}

bool is_about_program(const ipc::LauncherRequest& order) {
    return order.has_exec_part() || order.has_exec_take() ||
           order.op_case() == ipc::LauncherRequest::kExecDrop;
}

}  // namespace

std::byte written_by(std::int64_t number) {
    return static_cast<std::byte>('A' + number % 26);
}

// THE PROMISE: however long the launcher takes, and however many workers come and go, what waits for it is bounded: its socket
// has room for it.
void PlayedLauncher::take_orders() {
    while (auto order = hear_message<ipc::LauncherRequest>()) {
        if (order->has_account()) note_told(account_, order->account().number(), kAccountLateNs);
        if (order->has_set()) note_told(setting_, order->set().number(), kSetLateMs * kNsPerMs);
        orders_.push_back(*std::move(order));
        const auto about = static_cast<std::size_t>(std::ranges::count_if(orders_, is_about_program));
        const auto changes = static_cast<std::size_t>(std::ranges::count_if(orders_, is_change));
        promise(orders_.size() - about - changes <= kMostOfOthers,
                "the launcher is told to run the hooks once, and one row, at a time");
        promise(about <= kMostAboutPrograms, "the launcher has a bounded number of orders about programs");
    }
}

bool PlayedLauncher::is_busy() const {
    const auto is_starting = [](const auto& one) {
        return !one.second.runs && !one.second.has_ended && !one.second.is_gone;
    };
    return !orders_.empty() || std::ranges::any_of(programs_, is_starting);
}

// What is reported then is not ours to know.
std::optional<ipc::LauncherRequest> PlayedLauncher::next_order() {
    account_.due_ns.reset();
    setting_.due_ns.reset();
    return take_next();
}

std::optional<ipc::LauncherRequest> PlayedLauncher::take_next() {
    if (orders_.empty()) return std::nullopt;
    auto order = std::move(orders_.front());
    orders_.pop_front();
    return order;
}

void PlayedLauncher::act(Draw& draw) {
    std::erase_if(programs_, [](const auto& one) { return one.second.is_gone && !one.second.is_wanted; });
    const bool may_go_on =
        std::ranges::any_of(programs_, [](const auto& one) { return !one.second.is_gone; });
    if (!orders_.empty() && (!may_go_on || !draw.rarely(4))) {
        const auto order = take_next();
        return carry_out(*order, draw);
    }
    if (!may_go_on) return;
    auto at = std::next(programs_.begin(), static_cast<std::ptrdiff_t>(draw.below(programs_.size())));
    while (at->second.is_gone)
        if (++at == programs_.end()) at = programs_.begin();
    go_on(at, draw);
}

void PlayedLauncher::carry_out(const ipc::LauncherRequest& order, Draw& draw) {
    if (order.has_exec_part()) return take_part(order.exec_part());
    if (order.has_exec_take()) return give(order.exec_take());
    if (order.op_case() == ipc::LauncherRequest::kExecDrop) return drop(order.exec_drop());
    if (order.has_account()) return change(order.account(), draw);
    if (order.has_set()) return set(order.set(), draw);
    ipc::LauncherReply reply;
    ipc::Outcome& outcome = *reply.mutable_outcome();
    outcome.set_kind(draw.one_of({ipc::Outcome::DONE, ipc::Outcome::EXITED, ipc::Outcome::UNSUPPORTED,
                                  ipc::Outcome::KILLED, ipc::Outcome::LATE, ipc::Outcome::FAILED}));
    if (outcome.kind() != ipc::Outcome::DONE) outcome.set_number(1);
    outcome.set_program("/hook");
    say(reply);
}

void PlayedLauncher::take_part(const ipc::ExecPart& part) {
    promise(part.data().size() <= kExecPart && part.data().size() <= kMaxExecOrder - order_.size(),
            "a part of an order is a part");
    order_ += part.data();
    if (!part.last()) {
        ipc::LauncherReply more;
        more.mutable_exec_more();
        return say(more);
    }
    ipc::ExecOrder order;
    std::string scratch;
    promise(ipc::decode(std::exchange(order_, {}), order, scratch).has_value(),
            "the broker's orders are canonical");
    start(order);
}

// THE PROMISES: the launcher, which decides again, is never asked for what it would not do.
void PlayedLauncher::start(const ipc::ExecOrder& order) {
    const auto by = static_cast<int>(order.template_());
    promise(order.number() > std::exchange(last_, order.number()), "a program has a number of its own");
    promise(by < templates.size(), "a program is one of a template");
    promise(order.capture() != ipc::ExecOrder::CAPTURE_UNSPECIFIED &&
                ipc::ExecOrder::Capture_IsValid(order.capture()),
            "what is kept of the output is said");
    const auto args =
        policy::fill_in(templates[by], policy::ExecWords(order.values().begin(), order.values().end()));
    promise(args.has_value(), "each place of a template has its value");
    policy::ExecRequest want{.program = templates[by].program(), .args = *args, .env = {}, .input = {}};
    if (order.has_env()) want.env.emplace(order.env().begin(), order.env().end());
    if (order.has_input()) want.input = order.input().size();
    promise(policy::match_exec(templates[by], want, 0).miss == policy::ExecMiss::kNothing,
            "what is started the policy allows");
    const auto running = std::ranges::count_if(
        programs_, [&](const auto& one) { return one.second.by == by && !one.second.is_gone; });
    promise(is_taken_over || (running < templates[by].concurrent() && programs_.size() < kMaxPrograms),
            "no more run at a time than the rule accepts");
    programs_[order.number()] = {.by = by};
}

// Standard error, then standard output.
void PlayedLauncher::give(const ipc::ExecTake& take) const {
    const auto at = programs_.find(take.number());
    const bool is_there = at != programs_.end() && at->second.has_ended && at->second.is_wanted;
    const std::uint32_t all = is_there ? at->second.out + at->second.err : 0;
    promise(is_taken_over || take.offset() < all, "only output is wanted that is there");
    ipc::LauncherReply reply;
    ipc::ExecOutput& output = *reply.mutable_exec_output();
    output.set_number(take.number());
    output.set_offset(take.offset());
    output.set_data(std::string(std::min<std::size_t>(all - std::min(all, take.offset()), kExecPart),
                                static_cast<char>(written_by(static_cast<std::int64_t>(take.number())))));
    say(reply);
}

void PlayedLauncher::drop(std::uint64_t number) {
    const auto at = programs_.find(number);
    if (at == programs_.end()) return;
    promise(std::exchange(at->second.is_wanted, false) || is_taken_over, "a program is let go once");
}

void PlayedLauncher::say_gone(Programs::iterator at) {
    ipc::LauncherReply reply;
    reply.set_exec_gone(at->first);
    at->second.is_gone = true;
    if (!at->second.has_ended) at->second.is_wanted = false;
    say(reply);
}

void PlayedLauncher::say_started(std::uint64_t number, int sys_errno) const {
    ipc::LauncherReply reply;
    reply.mutable_exec_started()->set_number(number);
    reply.mutable_exec_started()->set_sys_errno(sys_errno);
    say(reply);
}

void PlayedLauncher::end(std::uint64_t number, Program& program, Draw& draw) const {
    const std::uint32_t most = templates[program.by].output();
    program.has_ended = true;
    program.is_gone = !draw.rarely(2);
    program.out = std::min(most, draw.one_of({0U, 3U, 70'000U, ~0U}));
    program.err = std::min(most, draw.one_of({0U, 3U, 70'000U, ~0U}));
    ipc::LauncherReply reply;
    ipc::ExecEnded& ended = *reply.mutable_exec_ended();
    ended.set_number(number);
    if (draw.rarely(4))
        ended.set_signal(9);
    else
        ended.set_exit_code(1);
    ended.set_late(draw.rarely(4));
    ended.set_gone(program.is_gone);
    ended.set_out_size(program.out);
    ended.set_err_size(program.err);
    ended.set_out_truncated(program.out == most);
    ended.set_err_truncated(program.err == most);
    say(reply);
}

void PlayedLauncher::go_on(Programs::iterator at, Draw& draw) {
    Program& program = at->second;
    // Who waits for the program is killed.
    if (program.has_ended || draw.rarely(16)) return say_gone(at);
    if (program.runs) return end(at->first, program, draw);
    const int error = draw.one_of({0, 0, 0, 0, EPERM, ENOENT, ETIMEDOUT});
    program.runs = error == 0;
    say_started(at->first, error);
    // One that is late may be beyond killing.
    program.has_ended = error == ETIMEDOUT;
    program.is_wanted = program.is_wanted && error != ETIMEDOUT;
    if (error != 0 && error != ETIMEDOUT) programs_.erase(at);
}

std::uint64_t PlayedLauncher::draw_number(Draw& draw) const {
    const std::size_t back = draw.below(4);
    return back == 3 ? draw.byte() : last_ - back;
}

void PlayedLauncher::lie(Draw& draw) {
    if (!accounts.empty() && (templates.empty() || draw.rarely(3))) {
        if (rules.empty() || draw.rarely(2)) return lie_about_account(draw);
    }
    if (!rules.empty() && (templates.empty() || draw.rarely(3))) return lie_about_setting(draw);
    if (templates.empty()) return;
    const std::uint64_t number = draw_number(draw);
    ipc::LauncherReply reply;
    switch (draw.below(5)) {
        case 0:
            return say_started(number, draw.one_of({0, ENOENT}));
        case 1: {
            Program none;
            return end(number, none, draw);
        }
        case 2:
            reply.set_exec_gone(number);
            break;
        case 3:
            reply.mutable_exec_more();
            break;
        default:
            reply.mutable_exec_output()->set_number(number);
            reply.mutable_exec_output()->set_offset(draw.one_of({0U, 3U, 65'472U, ~0U}));
            reply.mutable_exec_output()->set_data(
                std::string(draw.one_of({0U, 1U, 3U, 60'000U}),
                            static_cast<char>(written_by(static_cast<std::int64_t>(number)))));
    }
    say(reply);
}

}  // namespace sallyport::fuzz
