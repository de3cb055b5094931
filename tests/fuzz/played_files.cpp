// The files hand, played: clerks that keep their contract, over files that exist in memory only. All are below /work.
#include "tests/fuzz/played_files.hpp"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>

#include "broker/files/order.hpp"
#include "ipc/handover.hpp"
#include "ipc/limits.hpp"
#include "policy/guest_path.hpp"

namespace sallyport::fuzz {

namespace {

std::uint64_t size_of(FdRef file) {
    struct stat info{};
    promise(::fstat(file.get(), &info) == 0, "a file in memory has a size");
    return static_cast<std::uint64_t>(info.st_size);
}

// A file that is there from the start.
struct OldFile {
    std::string name;
    std::uint64_t size = 0;
    bool is_spoilt = true;
    UniqueFd file = UniqueFd(::memfd_create("file", MFD_CLOEXEC));
};

// For all runs of this process: to write them takes longer than the rest of most runs.
std::array<OldFile, 3>& old_files() {
    static std::array<OldFile, 3> all{OldFile{.name = "a", .size = 3},
                                      OldFile{.name = "b", .size = kChunk * 5 / 2},
                                      OldFile{.name = "c", .size = kChunk * 6}};
    return all;
}

// Whatever is written is what was there; only what was cut off is missing.
void restore(OldFile& old) {
    promise(::ftruncate(old.file.get(), static_cast<off_t>(old.size)) == 0, "a file in memory has any size");
    if (!std::exchange(old.is_spoilt, false)) return;
    const std::string text(old.size, static_cast<char>(content_of("/work/" + old.name)));
    promise(::pwrite(old.file.get(), text.data(), text.size(), 0) == static_cast<ssize_t>(old.size),
            "a file in memory can be written");
}

bool is_kept(const std::string& name) {
    return name == "c";
}

}  // namespace

std::byte content_of(const std::string& path) {
    const auto parsed = policy::GuestPath::parse(path, "/");
    return static_cast<std::byte>(parsed ? parsed->text().back() : '?');
}

PlayedFiles::PlayedFiles() {
    for (OldFile& old : old_files()) {
        restore(old);
        files_[old.name] = UniqueFd(::fcntl(old.file.get(), F_DUPFD_CLOEXEC, 0));
    }
}

void PlayedFiles::prepare() {
    (void)old_files();
}

void PlayedFiles::make(const std::string& name) {
    UniqueFd file(::memfd_create("file", MFD_CLOEXEC));
    promise(file.is_open(), "a file can be made in memory");
    files_[name] = std::move(file);
}

std::string PlayedFiles::name_of(FdRef file) const {
    struct stat one{};
    struct stat other{};
    promise(::fstat(file.get(), &one) == 0, "an open file is given");
    for (const auto& [name, held] : files_)
        if (::fstat(held.get(), &other) == 0 && other.st_ino == one.st_ino) return name;
    promise(false, "no file is given but those that were opened");
    return {};
}

bool PlayedFiles::act() {
    bool has_said = obey_parent();
    for (std::size_t at = 0; at < clerks_.size(); ++at)
        while (at < clerks_.size() && serve(clerks_[at])) has_said = true;
    return has_said;
}

bool PlayedFiles::obey_parent() {
    bool has_said = false;
    while (const auto order = hear_message<ipc::FilesRequest>()) {
        has_said = true;
        if (order->has_new_clerk())
            start_clerk();
        else
            killed_.push_back(order->kill_clerk().clerk());
    }
    return bury_killed() || has_said;
}

bool PlayedFiles::bury_killed() {
    if (outlives_kills || killed_.empty()) return false;
    for (const std::uint64_t number : std::exchange(killed_, {})) bury(number);
    return true;
}

void PlayedFiles::start_clerk() {
    promise(clerks_.size() < kMaxClerks, "no more clerks are wanted than there can be");
    ipc::FilesReply reply;
    if (const int fault = std::exchange(fault_, 0)) {
        reply.mutable_clerk_not_started()->set_sys_errno(fault);
        return say(reply);
    }
    auto pair = ipc::socket_pair();
    promise(pair.has_value(), "a socket pair can be made");
    clerks_.push_back({.number = ++last_, .socket = std::move(pair->second)});
    reply.mutable_clerk_started()->set_clerk(last_);
    std::string bytes;
    ipc::encode(reply, bytes);
    const FdRef given(pair->first);
    promise(ipc::give(socket, bytes, std::span(&given, 1)).has_value(), "a clerk can be given");
}

void PlayedFiles::bury(std::uint64_t number) {
    std::erase_if(clerks_, [&](const Clerk& clerk) { return clerk.number == number; });
    ipc::FilesReply reply;
    reply.mutable_clerk_ended()->set_clerk(number);
    say(reply);
}

// One order; false if there is none, or files do not answer.
bool PlayedFiles::serve(Clerk& clerk) {
    if (is_stuck || std::ranges::find(killed_, clerk.number) != killed_.end()) return false;
    const auto got = ipc::take(clerk.socket, frame, given_);
    if (!got) {
        bury(clerk.number);
        return true;
    }
    if (!*got) return false;
    ipc::FileOrder order;
    std::string scratch;
    promise(ipc::decode(frame.bytes, order, scratch).has_value(), "the broker's frames are canonical");
    promise(given_.size() <= 1, "an order has one descriptor at most");
    const UniqueFd file = given_.empty() ? UniqueFd() : std::move(given_[0]);
    if (!order.has_arena()) {
        carry_out(clerk, order, file);
        return true;
    }
    clerk.arena.reset();
    if (!file.is_open()) return true;
    auto arena = ipc::Arena::map(UniqueFd(::fcntl(file.get(), F_DUPFD_CLOEXEC, 0)));
    promise(arena.has_value(), "a clerk can map its arena");
    clerk.arena.emplace(*std::move(arena));
    return true;
}

void PlayedFiles::carry_out(Clerk& clerk, const ipc::FileOrder& order, const UniqueFd& file) {
    const bool has_file = file.is_open() != !clerk.kept.empty();
    if (order.has_close()) {
        promise(has_file, "a file is closed");
        if (!file.is_open()) clerk.kept.clear();
    } else if (order.has_read() || order.has_write()) {
        promise(has_file && file.is_open() == (order.read().has_place() || order.write().has_place()),
                "what is moved has a file, and a place in it");
    } else {
        promise(!file.is_open(), "nothing comes with other orders");
    }
    if (const int fault = std::exchange(fault_, 0))
        return order.has_write() ? stop_writing(clerk, fault) : fail(clerk, fault);
    if (order.has_open()) return open(clerk, order.open());
    if (order.has_seek()) return seek(clerk, order.seek());
    if (!order.has_close()) return move(clerk, order, file);
    ipc::FileReport report;
    report.mutable_closed();
    tell(clerk, report);
}

void PlayedFiles::fail(const Clerk& clerk, int sys_errno) {
    ipc::FileReport report;
    report.mutable_failed()->set_why("a file");
    report.mutable_failed()->set_sys_errno(sys_errno);
    tell(clerk, report);
}

void PlayedFiles::stop_writing(const Clerk& clerk, int sys_errno) {
    ipc::FileReport report;
    report.mutable_moved()->set_sys_errno(sys_errno);
    tell(clerk, report);
}

void PlayedFiles::tell(const Clerk& clerk, const ipc::FileReport& report, FdRef file) {
    std::string bytes;
    ipc::encode(report, bytes);
    if (file.get() < 0)
        (void)ipc::send(clerk.socket, bytes, ipc::WhenFull::kFail);
    else
        (void)ipc::give(clerk.socket, bytes, std::span(&file, 1));
}

void PlayedFiles::open(Clerk& clerk, const ipc::OpenOrder& order) {
    const auto path = policy::GuestPath::parse(order.path(), "/");
    const auto mode = files::to_open_mode(order.mode());
    promise(path.has_value() && mode.has_value() && clerk.kept.empty(), "an order to open is whole");
    promise(path->is_within("/work") && !path->is_within("/work/denied"),
            "nothing is looked for where the policy allows nothing");
    const std::string name(path->below("/work"));
    if (name == ".") return fail(clerk, 0);
    const bool is_there = files_.contains(name);
    if (!is_there && !mode->may_create) return fail(clerk, ENOENT);
    if (order.names_directory()) return fail(clerk, is_there ? ENOTDIR : EISDIR);
    if (!is_there) make(name);
    if (mode->truncate) cut_off(name);
    ipc::FileReport report;
    report.mutable_opened()->set_is_regular(true);
    report.mutable_opened()->set_atime(ipc::OpenedReport::NEVER);
    report.mutable_opened()->set_place(told_place);
    if (!is_kept(name)) return tell(clerk, report, files_[name]);
    clerk.kept = name;
    clerk.position = 0;
    clerk.appends = mode->append;
    tell(clerk, report);
}

void PlayedFiles::cut_off(const std::string& name) {
    promise(::ftruncate(files_[name].get(), 0) == 0, "a file in memory can be cut off");
    for (OldFile& old : old_files()) old.is_spoilt |= old.name == name;
}

void PlayedFiles::move(Clerk& clerk, const ipc::FileOrder& order, const UniqueFd& file) {
    const ipc::MoveOrder& what = order.has_read() ? order.read() : order.write();
    promise(clerk.arena.has_value(), "a clerk that moves something has the arena");
    const auto bytes = clerk.arena->extent(what.offset(), what.size());
    promise(bytes.has_value() && bytes->size() <= kChunk, "what is moved lies in one chunk");
    const std::string name = file.is_open() ? name_of(file) : clerk.kept;
    const FdRef held(files_[name]);
    const std::uint64_t size = size_of(held);
    const std::uint64_t place = what.has_place() ? what.place() : clerk.appends ? size : clerk.position;
    ipc::FileReport report;
    ipc::MovedReport& moved = *report.mutable_moved();
    if (order.has_read()) {
        const std::uint64_t left = size > place ? size - place : 0;
        moved.set_size(static_cast<std::uint32_t>(std::min<std::uint64_t>(left, bytes->size())));
        moved.set_eof(moved.size() < bytes->size());
        std::ranges::fill(bytes->first(moved.size()), content_of("/work/" + name));
    } else if (place > what.most() || bytes->size() > what.most() - place) {
        moved.set_sys_errno(EFBIG);
    } else {
        const std::string text(bytes->size(), static_cast<char>(content_of("/work/" + name)));
        moved.set_size(static_cast<std::uint32_t>(
            std::max<ssize_t>(0, ::pwrite(held.get(), text.data(), text.size(), static_cast<off_t>(place)))));
    }
    clerk.position = place + moved.size();
    tell(clerk, report);
}

void PlayedFiles::seek(Clerk& clerk, const ipc::SeekOrder& order) {
    promise(!clerk.kept.empty() && order.whence() <= 2, "a seek is in a file that is kept");
    const std::uint64_t from = order.whence() == 0   ? 0
                               : order.whence() == 1 ? clerk.position
                                                     : size_of(files_[clerk.kept]);
    std::int64_t to = 0;
    if (__builtin_add_overflow(static_cast<std::int64_t>(from), order.offset(), &to) || to < 0)
        return fail(clerk, EINVAL);
    clerk.position = static_cast<std::uint64_t>(to);
    ipc::FileReport report;
    report.mutable_sought()->set_position(to);
    tell(clerk, report);
}

}  // namespace sallyport::fuzz
