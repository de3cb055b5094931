// Runs in:  files, in a clerk, after lockdown_clerk()
#include "broker/files/clerk.hpp"

#include <cstring>
#include <utility>

#include "broker/files/open.hpp"
#include "broker/files/steady.hpp"
#include "broker/files/use.hpp"
#include "ipc/codec.hpp"
#include "ipc/limits.hpp"

namespace sallyport::files {

namespace {

constexpr std::unexpected<Error> broken(const char* what) {
    return std::unexpected(Error{Errc::kInvalid, what});
}

Reach reach_of(const ipc::MoveOrder& order) {
    Reach reach;
    if (order.has_place()) reach.place = order.place();
    if (order.has_most()) reach.most = order.most();
    return reach;
}

ipc::FileReport read(FdRef file, std::span<std::byte> into, const Reach& reach) {
    ipc::FileReport report;
    const auto got = read_full(file, into, reach);
    if (got) {
        report.mutable_moved()->set_size(static_cast<std::uint32_t>(got->size));
        report.mutable_moved()->set_eof(got->eof);
    } else {
        report.mutable_failed()->set_why(got.error().what);
        report.mutable_failed()->set_sys_errno(got.error().sys_errno);
    }
    return report;
}

ipc::FileReport write(FdRef file, std::span<const std::byte> from, const Reach& reach) {
    ipc::FileReport report;
    const Written written = write_all(file, from, reach);
    report.mutable_moved()->set_size(static_cast<std::uint32_t>(written.size));
    report.mutable_moved()->set_sys_errno(written.sys_errno);
    return report;
}

}  // namespace

int Clerk::run() {
    for (;;) {
        auto given = take();
        if (!given) return given.error().code == Errc::kClosed ? 0 : 1;
        if (!carry_out(*std::move(given))) return 1;
    }
}

Result<Clerk::Given> Clerk::take() {
    while (!TRY(ipc::take(broker_, frame_, fds_, ipc::WhenEmpty::kWait))) continue;
    if (fds_.size() > 1) return broken("an order with several descriptors");
    Given given;
    TRY(ipc::decode(frame_.bytes, given.order, bytes_));
    if (!fds_.empty()) given.fd = std::move(fds_[0]);
    return given;
}

Status Clerk::carry_out(Given given) {
    auto& [order, fd] = given;
    switch (order.op_case()) {
        case ipc::FileOrder::kOpen:
            if (fd.is_open() || kept_.is_open()) return broken("an open with a file");
            return open(order.open());
        case ipc::FileOrder::kRead:
        case ipc::FileOrder::kWrite:
            return move(order, std::move(fd));
        case ipc::FileOrder::kSeek:
            if (fd.is_open() || !kept_.is_open()) return broken("a seek without a file that is kept");
            return seek(order.seek());
        case ipc::FileOrder::kClose:
            if (fd.is_open() == kept_.is_open()) return broken("a close of no file, or of two");
            return close(std::move(fd));
        case ipc::FileOrder::kArena:
            return take_arena(std::move(fd));
        default:
            return broken("no order");
    }
}

// THREAT: the broker asks for what the policy does not allow. So the clerk decides again, by its own clock and policy.
Status Clerk::open(const ipc::OpenOrder& order) {
    const auto path = policy::GuestPath::parse(order.path(), "/");
    const auto mode = to_open_mode(order.mode());
    if (!path || path->text() != order.path() || !mode) return broken("an open of no path, or in no mode");
    clock_.look(read_clocks());
    const auto decision = policy::decide_file_open(table_.policy(), *path, mode->wanted, clock_.now());
    if (decision.why == policy::Why::kDenied)
        return say_failed(refused("a deny rule matches", decision.rule).error());
    if (!decision.is_allowed()) return say_failed(refused("no allow rule covers this path and mode").error());
    auto opened =
        files::open(table_, {.path = *path,
                             .mode = *mode,
                             .grants = decision.grants,
                             .now = clock_.now(),
                             .names_directory = order.names_directory(),
                             .spent = {order.spent().data(), static_cast<std::size_t>(order.spent_size())}});
    return opened ? hand_over(*std::move(opened)) : say_failed(opened.error());
}

// Sends the file to the broker, or keeps it if using it may wait.
Status Clerk::hand_over(Opened opened) {
    const auto steady = is_steady(opened.fd);
    const auto atime = atime_of(opened.fd);
    if (!steady || !atime) return say_failed(Unopened(steady ? atime.error() : steady.error()));
    ipc::FileReport report;
    ipc::OpenedReport& what = *report.mutable_opened();
    what.set_rule(static_cast<std::uint32_t>(opened.grant.rule));
    what.set_file(static_cast<std::uint32_t>(opened.grant.file));
    what.set_is_regular(opened.is_regular);
    what.set_atime(*atime);
    what.set_place(opened.place);
    if (*steady) return say(report, opened.fd);
    kept_ = std::move(opened.fd);
    return say(report);
}

// THREAT: a server answers a read long after its clerk was abandoned, when the broker has put other data into that memory. So
// files are never read directly into the arena, nor written from it: a killed clerk copies nothing.
//
// THREAT: the order comes with a file that the hand did not open. Then it is the broker's own, and the broker could have done the
// same with it. Only regular files are accepted, so no socket or pipe is read here.
Status Clerk::move(const ipc::FileOrder& order, UniqueFd fd) {
    const bool is_read = order.has_read();
    const ipc::MoveOrder& what = is_read ? order.read() : order.write();
    if (fd.is_open() == kept_.is_open() || fd.is_open() != what.has_place())
        return broken("a file too many, or none, or without its place");
    if (!arena_) return broken("no arena");
    const auto bytes = TRY(arena_->extent(what.offset(), what.size()));
    if (fd.is_open() && !TRY(is_steady(fd))) return broken("not a file that was opened for the broker");
    const FdRef file = fd.is_open() ? FdRef(fd) : FdRef(kept_);
    buffer_.resize(kChunk);
    if (bytes.size() > buffer_.size()) return broken("more than a chunk");
    const auto buffer = std::span(buffer_).first(bytes.size());
    if (!is_read) std::memcpy(buffer.data(), bytes.data(), bytes.size());
    const ipc::FileReport report =
        is_read ? read(file, buffer, reach_of(what)) : write(file, buffer, reach_of(what));
    if (is_read) std::memcpy(bytes.data(), buffer.data(), report.moved().size());
    // Closed before the report, since the broker may want to have this file closed for the last time.
    if (fd.is_open()) fd.reset();
    return say(report);
}

Status Clerk::seek(const ipc::SeekOrder& order) {
    if (order.whence() > 2) return broken("a seek from nowhere");
    const auto position = files::seek(kept_, order.offset(), order.whence());
    if (!position) return say_failed(Unopened(position.error()));
    ipc::FileReport report;
    report.mutable_sought()->set_position(*position);
    return say(report);
}

Status Clerk::close(UniqueFd fd) {
    const auto closed = files::close(fd.is_open() ? std::move(fd) : std::move(kept_));
    if (!closed) return say_failed(Unopened(closed.error()));
    ipc::FileReport report;
    report.mutable_closed();
    return say(report);
}

Status Clerk::take_arena(UniqueFd fd) {
    arena_.reset();
    if (fd.is_open()) arena_ = TRY(ipc::Arena::map(std::move(fd)));
    return {};
}

Status Clerk::say(const ipc::FileReport& report, FdRef fd) {
    if (fd.get() < 0) return ipc::say(broker_, report, ipc::WhenFull::kWait);
    ipc::encode(report, bytes_);
    return ipc::give(broker_, bytes_, std::span(&fd, 1));
}

Status Clerk::say_failed(const Unopened& why) {
    ipc::FileReport report;
    report.mutable_failed()->set_why(why.why);
    report.mutable_failed()->set_sys_errno(why.sys_errno);
    if (why.rule != policy::kNoRule) report.mutable_failed()->set_rule(static_cast<std::uint32_t>(why.rule));
    return say(report);
}

}  // namespace sallyport::files
