// Runs in:  broker
#include "broker/serve/files_hand.hpp"

#include <algorithm>
#include <span>
#include <utility>

#include "base/clock.hpp"
#include "ipc/codec.hpp"
#include "ipc/limits.hpp"

namespace sallyport::broker {

namespace {

constexpr std::size_t kMaxFreeClerks = 1;

ipc::FileOrder order_to_close() {
    ipc::FileOrder order;
    order.mutable_close();
    return order;
}

/// The report that answers each order.
ipc::FileReport::OpCase answer_to(ipc::FileOrder::OpCase order) {
    switch (order) {
        case ipc::FileOrder::kOpen:
            return ipc::FileReport::kOpened;
        case ipc::FileOrder::kRead:
        case ipc::FileOrder::kWrite:
            return ipc::FileReport::kMoved;
        case ipc::FileOrder::kSeek:
            return ipc::FileReport::kSought;
        case ipc::FileOrder::kClose:
            return ipc::FileReport::kClosed;
        default:
            return ipc::FileReport::OP_NOT_SET;
    }
}

}  // namespace

FilesHand::Clerk* FilesHand::find(std::uint64_t number) {
    const auto at = std::ranges::find(clerks_, number, &Clerk::number);
    return at == clerks_.end() ? nullptr : &*at;
}

void FilesHand::add_at_work(std::vector<pollfd>& wanted) const {
    for (const Clerk& clerk : clerks_)
        if (clerk.due_ns != 0) wanted.push_back({.fd = clerk.socket.get(), .events = POLLIN, .revents = 0});
}

std::uint64_t FilesHand::free_clerk() const {
    const auto is_free = [](const Clerk& clerk) { return clerk.due_ns == 0 && !clerk.keeps; };
    const auto at = std::ranges::find_if(clerks_, is_free);
    return at == clerks_.end() ? 0 : at->number;
}

std::size_t FilesHand::count_kept() const {
    return static_cast<std::size_t>(std::ranges::count_if(clerks_, &Clerk::keeps));
}

bool FilesHand::is_moving() const {
    return std::ranges::any_of(
        clerks_, [](const Clerk& clerk) { return clerk.due_ns != 0 && clerk.moves() && clerk.has_arena; });
}

bool FilesHand::may_be_at_work(std::uint64_t number) const {
    const auto is_it = [&](const Clerk& clerk) { return clerk.number == number && clerk.due_ns != 0; };
    return killed_.contains(number) || std::ranges::any_of(clerks_, is_it);
}

Status FilesHand::tell(const ipc::FilesRequest& request) {
    ipc::encode(request, bytes_);
    return ipc::send(parent_, bytes_, ipc::WhenFull::kFail);
}

// Dismissed clerks end at once, and then there is room again.
bool FilesHand::want_clerk() {
    if (is_coming_) return true;
    if (killed_.size() >= kMaxHungClerks) return false;
    if (clerks_.size() + killed_.size() + let_go_.size() >= kMaxClerks) return !let_go_.empty();
    ipc::FilesRequest request;
    request.mutable_new_clerk();
    is_coming_ = tell(request).has_value();
    return is_coming_;
}

bool FilesHand::send(Clerk& clerk, const ipc::FileOrder& order, FdRef file) {
    ipc::encode(order, bytes_);
    const Status sent = file.get() < 0 ? ipc::send(clerk.socket, bytes_, ipc::WhenFull::kFail)
                                       : ipc::give(clerk.socket, bytes_, std::span(&file, 1));
    // Somebody waits for the report of a busy clerk: make it late at once.
    if (!sent && clerk.due_ns != 0)
        clerk.due_ns = 1;
    else if (!sent)
        give_up(clerk.number);
    return sent.has_value();
}

bool FilesHand::order(std::uint64_t number, const Work& work) {
    Clerk* clerk = find(number);
    if (clerk == nullptr || clerk->due_ns != 0) return false;
    ipc::FileOrder to_map;
    to_map.mutable_arena();
    if (work.arena != nullptr && !clerk->has_arena && !send(*clerk, to_map, work.arena->fd())) return false;
    clerk->has_arena |= work.arena != nullptr;
    clerk->at_work = work.order.op_case();
    clerk->most = work.order.has_read() ? work.order.read().size() : work.order.write().size();
    if (!send(*clerk, work.order, work.file)) return false;
    clerk->due_ns = boottime_ns() + kFileTimeoutNs;
    return true;
}

std::optional<std::uint64_t> FilesHand::order_any(const Work& work) {
    for (std::uint64_t clerk = free_clerk(); clerk != 0; clerk = free_clerk())
        if (order(clerk, work)) return clerk;
    return want_clerk() ? std::optional<std::uint64_t>(0) : std::nullopt;
}

void FilesHand::forget_arena() {
    ipc::FileOrder order;
    order.mutable_arena();
    std::vector<std::uint64_t> having;
    for (Clerk& clerk : clerks_)
        if (std::exchange(clerk.has_arena, false)) having.push_back(clerk.number);
    for (const std::uint64_t number : having) send(*find(number), order, FdRef(-1));
}

void FilesHand::close(UniqueFd file) {
    to_close_.push_back(std::move(file));
    close_waiting();
}

void FilesHand::close_waiting() {
    while (!to_close_.empty()) {
        UniqueFd file = std::move(to_close_.back());
        to_close_.pop_back();
        const auto clerk = order_any({.order = order_to_close(), .file = file});
        if (clerk && *clerk != 0) continue;
        to_close_.push_back(std::move(file));
        return;
    }
}

// Whoever waits for the report of a busy clerk still gets it.
void FilesHand::close_kept(std::uint64_t number) {
    Clerk* clerk = find(number);
    if (clerk != nullptr && clerk->due_ns != 0)
        clerk->is_unwanted = true;
    else
        order(number, {.order = order_to_close()});  // abandons a clerk that does not take it
}

// Dismisses clerks that were needed only for a peak.
void FilesHand::let_extra_go() {
    std::size_t free = 0;
    std::erase_if(clerks_, [&](const Clerk& clerk) {
        const bool is_extra = clerk.due_ns == 0 && !clerk.keeps && ++free > kMaxFreeClerks;
        if (is_extra) let_go_.insert(clerk.number);
        return is_extra;
    });
}

void FilesHand::forget(std::uint64_t number) {
    std::erase_if(clerks_, [&](const Clerk& clerk) { return clerk.number == number; });
}

// THREAT: a clerk's last report comes with a file, which must not be closed by us.
void FilesHand::give_up(std::uint64_t number) {
    Clerk* clerk = find(number);
    if (clerk == nullptr) return;
    ClerkReport ignored;
    hear(*clerk, ignored);
    if (ignored.file.is_open()) to_close_.push_back(std::move(ignored.file));
    ipc::FilesRequest request;
    request.mutable_kill_clerk()->set_clerk(number);
    if (!clerk->has_ended) {
        (void)tell(request);
        killed_.insert(number);
    }
    forget(number);
}

// THREAT: a clerk that was taken over reports something other than its order asked for, and keeps a file that nobody knows about.
// Such a report is not accepted.
bool FilesHand::is_answer(const Clerk& clerk, const ClerkReport& said) {
    const ipc::FileReport& report = said.report;
    if (said.file.is_open() && !report.has_opened()) return false;
    if (report.has_failed()) return clerk.at_work != ipc::FileOrder::kWrite;
    return report.op_case() == answer_to(clerk.at_work) && report.moved().size() <= clerk.most;
}

FilesHand::Said FilesHand::hear(Clerk& clerk, ClerkReport& said) {
    const auto got = ipc::take(clerk.socket, frame_, fds_);
    if (got && !*got) return Said::kNothing;
    said.clerk = clerk.number;
    if (!fds_.empty()) said.file = std::move(fds_[0]);
    for (UniqueFd& more : fds_)
        if (more.is_open()) to_close_.push_back(std::move(more));
    if (!got || fds_.size() > 1 || !ipc::decode(frame_.bytes, said.report, bytes_) || !is_answer(clerk, said))
        return Said::kFault;
    clerk.keeps = said.report.has_opened() ? !said.file.is_open()
                                           : clerk.keeps && clerk.at_work != ipc::FileOrder::kClose;
    return Said::kReport;
}

std::optional<ClerkReport> FilesHand::hear_clerk(std::int64_t now_ns) {
    for (Clerk& clerk : clerks_) {
        if (clerk.due_ns == 0) continue;
        ClerkReport said;
        const Said what = hear(clerk, said);
        if (what == Said::kNothing && now_ns < clerk.due_ns) continue;
        clerk.due_ns = 0;
        // So that the next open does not have to wait for a new process.
        if (clerk.keeps && free_clerk() == 0) want_clerk();
        if (what == Said::kReport) {
            if (std::exchange(clerk.is_unwanted, false) && clerk.keeps)
                order(clerk.number, {.order = order_to_close()});
            return said;
        }
        if (said.file.is_open()) to_close_.push_back(std::move(said.file));
        ClerkReport ended{.clerk = clerk.number, .is_late = what == Said::kNothing};
        give_up(ended.clerk);
        return ended;
    }
    close_waiting();
    let_extra_go();
    return std::nullopt;
}

std::optional<std::int64_t> FilesHand::first_due() const {
    std::optional<std::int64_t> first;
    for (const Clerk& clerk : clerks_)
        if (clerk.due_ns != 0) first = std::min(clerk.due_ns, first.value_or(clerk.due_ns));
    return first;
}

Result<int> FilesHand::hear_parent() {
    if (!TRY(ipc::take(parent_, frame_, fds_))) return 0;
    ipc::FilesReply reply;
    TRY(ipc::decode(frame_.bytes, reply, bytes_));
    const bool is_start = reply.has_clerk_started();
    if (fds_.size() != (is_start ? 1 : 0))
        return failure(Errc::kInvalid, "files: a descriptor too many, or none");
    if (is_start || reply.has_clerk_not_started()) {
        if (!std::exchange(is_coming_, false)) return failure(Errc::kInvalid, "files: unexpected frame");
        if (!is_start) return std::max(1, reply.clerk_not_started().sys_errno());
        if (reply.clerk_started().clerk() <= last_)
            return failure(Errc::kInvalid, "files: a number used twice");
        last_ = reply.clerk_started().clerk();
        clerks_.push_back({.number = last_, .socket = std::move(fds_[0])});
        close_waiting();
        return 0;
    }
    if (!reply.has_clerk_ended()) return failure(Errc::kInvalid, "files: unexpected frame");
    const std::uint64_t ended = reply.clerk_ended().clerk();
    killed_.erase(ended);
    let_go_.erase(ended);
    // For a busy clerk, the end is noticed when its report is read.
    Clerk* clerk = find(ended);
    if (clerk != nullptr) clerk->has_ended = true;
    if (clerk != nullptr && clerk->due_ns == 0) forget(ended);
    close_waiting();
    return 0;
}

}  // namespace sallyport::broker
