// The programs that a host names: decides once more what may be started, starts supervisors and hears them.
// Runs in:  launcher
// Input:    orders of a broker that may have been taken over; frames of supervisors, which read what programs write
// Relies on: policy/exec.cpp
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <utility>

#include "broker/launcher/launcher.hpp"
#include "ipc/channel.hpp"
#include "ipc/codec.hpp"
#include "ipc/limits.hpp"
#include "policy/exec.hpp"

namespace sallyport::launcher {

namespace {

using policy::ExecMiss;
using policy::ExecWords;

constexpr int kGroups = 4;  // the descriptor

std::unexpected<Error> unfit(const char* what) {
    return failure(Errc::kInvalid, what);
}

ipc::LauncherReply not_started(std::uint64_t number, int error) {
    ipc::LauncherReply reply;
    reply.mutable_exec_started()->set_number(number);
    reply.mutable_exec_started()->set_sys_errno(error);
    return reply;
}

// Returns the order with all words that it stands for, or nothing if its rule has expired since the broker decided.
Result<std::optional<ipc::ExecOrder>> filled_in(const ipc::ExecTemplate& by, const ipc::ExecOrder& order,
                                                Moment now) {
    const bool is_any = by.program().empty();
    if (!is_any && !order.program().empty()) return unfit("a program that is not the template's");
    const auto args = policy::fill_in(by, ExecWords(order.values().begin(), order.values().end()));
    if (!args) return unfit("more or fewer values than places");
    policy::ExecRequest want{
        .program = is_any ? order.program() : by.program(), .args = *args, .env = {}, .input = {}};
    if (order.has_env()) want.env.emplace(order.env().begin(), order.env().end());
    if (!order.has_env() && !order.env().empty()) return unfit("an environment that is none");
    if (order.has_input()) want.input = order.input().size();
    const ExecMiss miss = policy::match_exec(by, want, now).miss;
    if (miss == ExecMiss::kTime) return std::nullopt;
    if (miss != ExecMiss::kNothing) return unfit("words that the template does not cover");
    ipc::ExecOrder filled = order;
    filled.set_program(std::string(want.program));
    filled.clear_values();
    for (const std::string_view word : *args) filled.add_values(std::string(word));
    return filled;
}

bool is_within(const ipc::ExecEnded& ended, std::uint32_t most) {
    return ended.out_size() <= most && ended.err_size() <= most;
}

}  // namespace

Programs::Programs(const ipc::LauncherTable& table, const ExpiryClock& clock)
    : table_(table), clock_(clock), groups_(table.has_groups() ? kGroups : -1) {}

void Programs::leave(std::string& group) {
    if (!group.empty()) left_.push_back(std::exchange(group, {}));
}

Status Programs::hear(const ipc::LauncherRequest& request) {
    if (request.has_exec_part()) return take_part(request.exec_part());
    if (request.has_exec_take()) return give_output(request.exec_take());
    return drop(request.exec_drop());
}

Status Programs::take_part(const ipc::ExecPart& part) {
    if (part.data().size() > kMaxExecOrder - order_.size()) return unfit("an order that is too long");
    order_ += part.data();
    if (!part.last()) {
        ipc::LauncherReply more;
        more.mutable_exec_more();
        return tell(more);
    }
    ipc::ExecOrder order;
    std::string scratch;
    TRY(ipc::decode(order_, order, scratch));
    order_ = {};
    return start(order);
}

bool Programs::has_room_for(std::uint32_t by) const {
    const auto of_it = std::ranges::count_if(
        programs_, [&](const Program& one) { return one.by == by && one.socket.is_open(); });
    return programs_.size() < kMaxPrograms && of_it < table_.exec(static_cast<int>(by)).concurrent();
}

Status Programs::start(const ipc::ExecOrder& order) {
    if (order.number() <= last_ || order.template_() >= static_cast<std::uint32_t>(table_.exec_size()))
        return unfit("no such template, or a number again");
    last_ = order.number();
    if (!has_room_for(order.template_())) return unfit("more programs at a time than the rule accepts");
    const bool is_capture = order.capture() != ipc::ExecOrder::CAPTURE_UNSPECIFIED &&
                            ipc::ExecOrder::Capture_IsValid(order.capture());
    if (!is_capture) return unfit("no such capture");
    const ipc::ExecTemplate& by = table_.exec(static_cast<int>(order.template_()));
    const auto filled = TRY(filled_in(by, order, clock_.now()));
    if (!filled) return tell(not_started(order.number(), EPERM));
    if (is_unprepared()) prepare();
    const int error = is_unprepared() ? errno : supervisor::hand_over(spare_, table_, *filled);
    if (error != 0) {
        leave(spare_.group.name);
        spare_ = {};
        return tell(not_started(order.number(), error));
    }
    programs_.push_back({.number = order.number(),
                         .by = order.template_(),
                         .socket = std::move(spare_.socket),
                         .memory = std::move(spare_.memory),
                         .ended = {},
                         .group = std::move(spare_.group.name)});
    spare_ = {};
    may_prepare_ = true;
    return {};
}

void Programs::prepare() {
    for (const std::string& group : std::exchange(left_, {})) supervisor::remove_group(groups_, group);
    if (!is_unprepared()) return;
    may_prepare_ = false;
    auto group = groups_.is_open() ? supervisor::make_group(groups_, ++last_group_) : supervisor::Group();
    if (group) spare_ = supervisor::make_spare(table_, *std::move(group));
    if (is_unprepared()) leave(spare_.group.name);
}

Programs::Program* Programs::find(std::uint64_t number) {
    const auto at = std::ranges::find(programs_, number, &Program::number);
    return at == programs_.end() ? nullptr : &*at;
}

Status Programs::give_output(const ipc::ExecTake& take) {
    const Program* program = find(take.number());
    const std::size_t all = program == nullptr || !program->memory.is_open()
                                ? 0
                                : std::size_t{program->ended.err_size()} + program->ended.out_size();
    if (take.offset() >= all) return unfit("output that is not there");
    const std::uint32_t bound = table_.exec(static_cast<int>(program->by)).output();
    const bool is_err = take.offset() < program->ended.err_size();
    const std::size_t left = (is_err ? program->ended.err_size() : all) - take.offset();
    const std::size_t place = is_err ? bound + take.offset() : take.offset() - program->ended.err_size();
    ipc::LauncherReply reply;
    ipc::ExecOutput& output = *reply.mutable_exec_output();
    output.set_number(take.number());
    output.set_offset(take.offset());
    std::string& data = *output.mutable_data();
    data.resize(std::min(left, kExecPart));
    if (::pread(program->memory.get(), data.data(), data.size(), static_cast<off_t>(place)) !=
        static_cast<ssize_t>(data.size()))
        return system_error("pread");
    return tell(reply);
}

Status Programs::drop(std::uint64_t number) {
    if (Program* program = find(number)) program->memory.reset();
    std::erase_if(programs_,
                  [](const Program& one) { return !one.socket.is_open() && !one.memory.is_open(); });
    return {};
}

void Programs::add_to(std::vector<pollfd>& wanted) const {
    for (const Program& one : programs_)
        if (one.socket.is_open()) wanted.push_back({.fd = one.socket.get(), .events = POLLIN, .revents = 0});
    if (spare_.socket.is_open())
        wanted.push_back({.fd = spare_.socket.get(), .events = POLLIN, .revents = 0});
}

// Hears one frame, or the supervisor's end. A supervisor that ends without reporting its program's end was killed, and the program with it.
Status Programs::hear_one(Program& program) {
    ipc::LauncherReply said;
    std::string scratch;
    const auto got = ipc::receive(program.socket, frame_);
    if (!got) {
        program.socket.reset();
        // The children of the program outlive a killed supervisor.
        if (!program.group.empty() && supervisor::remove_group(groups_, program.group)) program.group.clear();
        leave(program.group);
        if (program.ended.number() == 0) program.memory.reset();
        said.set_exec_gone(program.number);
        return tell(said);
    }
    if (!*got) return {};
    TRY(ipc::decode(frame_.bytes, said, scratch));
    const bool is_start = said.has_exec_started() && said.exec_started().number() == program.number;
    const bool is_end = said.has_exec_ended() && said.exec_ended().number() == program.number &&
                        is_within(said.exec_ended(), table_.exec(static_cast<int>(program.by)).output());
    if (!is_start && !is_end) return unfit("a supervisor that broke its contract");
    if (is_end) program.ended = said.exec_ended();
    const bool is_failure = is_start && said.exec_started().sys_errno() != 0;
    // THREAT: a program's start waits for a server that does not answer, and cannot even be killed. It counts until it has gone, so that a
    // host that tries again and again gets no more of them than the rule accepts.
    const bool is_left = is_failure && said.exec_started().sys_errno() == ETIMEDOUT;
    // The program is gone. Nobody waits for what may be left of its supervisor.
    if ((is_failure && !is_left) || said.exec_ended().gone()) {
        program.socket.reset();
        leave(program.group);
    }
    if (is_failure) program.memory.reset();
    return tell(said);
}

Status Programs::hear_supervisors(const std::vector<pollfd>& ready) {
    for (const pollfd& one : ready) {
        if (one.revents == 0) continue;
        // A waiting supervisor says nothing, so this is its end.
        if (one.fd == spare_.socket.get()) {
            leave(spare_.group.name);
            spare_ = {};
        }
        const auto at =
            std::ranges::find_if(programs_, [&](const Program& p) { return p.socket.get() == one.fd; });
        if (at != programs_.end()) TRY(hear_one(*at));
    }
    std::erase_if(programs_,
                  [](const Program& one) { return !one.socket.is_open() && !one.memory.is_open(); });
    return {};
}

}  // namespace sallyport::launcher
