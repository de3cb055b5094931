// Runs in:  guard
#include "broker/guard/family.hpp"

#include <sys/mman.h>
#include <sys/socket.h>

#include <algorithm>

#include "broker/guard/spawn.hpp"
#include "broker/guard/thaw.hpp"
#include "ipc/channel.hpp"

namespace sallyport::guard {

namespace {

// Memory locks are not inherited. A child without them could wait for a disk in the middle of a thaw.
void stay_in_memory() {
    [[maybe_unused]] const int locked = ::mlockall(MCL_CURRENT);
}

}  // namespace

void Family::Unmap::operator()(Shared* shared) const {
    ::munmap(shared, sizeof(Shared));
}

Result<Family::Child> Family::start_child(const Family& family, const std::function<void(FdRef)>& body) {
    auto sockets = ipc::socket_pair();
    if (!sockets) return std::unexpected(sockets.error());
    auto& [ours, theirs] = *sockets;
    auto process = fork_child([&] {
        // If the child kept our ends of the sockets, it and its sibling would not notice our death.
        ::close(ours.release());
        if (family.freezer_.life.is_open()) ::close(family.freezer_.life.get());
        stay_in_memory();
        body(theirs);
    });
    if (!process) return std::unexpected(process.error());
    return Child{.life = std::move(ours), .process = *std::move(process)};
}

Result<Family> Family::start(std::vector<Held> held, bool fails_if_frozen, Task task,
                             const Listener& listener) {
    SALLYPORT_CHECK(held.size() <= kMaxFreezeMounts);
    Family family;
    family.held_ = std::move(held);
    void* memory = ::mmap(nullptr, sizeof(Shared), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (memory == MAP_FAILED) return system_error("mmap");
    family.shared_.reset(std::construct_at(static_cast<Shared*>(memory)));
    Shared& shared = *family.shared_;
    if (task == Task::kTakeOver) {
        for (std::size_t at = 0; at < family.held_.size(); ++at)
            SALLYPORT_CHECK(advance(shared.entries[at].state, Event::kTakeOver));
        shared.progress = Progress::kDone;
    }
    auto ends = ipc::socket_pair();
    if (!ends) return std::unexpected(ends.error());
    family.freezing_ = std::move(ends->first);
    UniqueFd freezes = std::move(ends->second);
    const auto duty_of = [&](FdRef life) {
        return Duty{shared, family.held_, life, family.freezing_, listener, fails_if_frozen};
    };
    // The freezer waits for a byte to begin, so the spare exists before anything is frozen.
    auto freezer = start_child(family, [&](FdRef life) {
        char begin = 0;
        const bool is_told = is_readable(life, -1) && ::recv(life.get(), &begin, 1, MSG_DONTWAIT) == 1;
        if (is_told) freeze_all(duty_of(life));
        freezes.reset();
        thaw_at_end(duty_of(life));
    });
    freezes.reset();
    if (!freezer) return std::unexpected(freezer.error());
    family.freezer_ = *std::move(freezer);
    auto spare = start_child(family, [&](FdRef life) { thaw_at_end(duty_of(life)); });
    if (!spare) return std::unexpected(spare.error());
    family.spare_ = *std::move(spare);
    stay_in_memory();
    if (task == Task::kFreeze && ::send(family.freezer_.life.get(), "", 1, MSG_NOSIGNAL) != 1)
        return system_error("send");
    return family;
}

void Family::thaw() {
    shared_->is_ordered = true;
    shared_->is_over = true;
    for (const Child* child : {&freezer_, &spare_})
        if (child->life.is_open()) ::shutdown(child->life.get(), SHUT_WR);
}

void Family::help() {
    // If the freezer is gone, what it was freezing can be thawed by others; if it is not gone, it thaws that itself.
    const bool is_alone =
        !freezer_.process.is_open() && !spare_.process.is_open() && is_readable(freezing_, 0);
    const auto rescue = [&] { thaw_pass(*shared_, held_, is_alone); };
    if (!fork_child(rescue) && is_alone) rescue();
}

bool Family::hear() {
    for (Child* child : {&freezer_, &spare_}) {
        char woken = 0;
        while (child->life.is_open() && ::recv(child->life.get(), &woken, 1, MSG_DONTWAIT) == 1) {
        }
        if (child->process.is_open() && is_readable(child->process, 0)) *child = Child();
    }
    return freezer_.process.is_open() && spare_.process.is_open();
}

std::uint32_t Family::left() const {
    std::uint32_t sum = 0;
    for (std::size_t at = 0; at < held_.size(); ++at)
        sum += may_be_frozen(shared_->entries[at].state) ? 1U : 0U;
    return sum;
}

bool Family::is_state_left() const {
    for (std::size_t at = 0; at < held_.size(); ++at)
        if (held_[at].holds_state && may_be_frozen(shared_->entries[at].state)) return true;
    return false;
}

std::uint32_t Family::count(State state) const {
    std::uint32_t sum = 0;
    for (std::size_t at = 0; at < held_.size(); ++at) sum += shared_->entries[at].state == state ? 1U : 0U;
    return sum;
}

std::optional<ipc::MountError> Family::find(State state, ipc::MountError::Step step) const {
    for (std::size_t at = 0; at < held_.size(); ++at) {
        if (shared_->entries[at].state != state) continue;
        ipc::MountError error;
        error.set_step(step);
        error.set_mount(held_[at].point);
        error.set_sys_errno(shared_->entries[at].sys_errno);
        return error;
    }
    return std::nullopt;
}

std::int64_t Family::window_us() const {
    return (shared_->last_ns - shared_->first_ns) / 1000;
}

std::vector<int> Family::wake_ups() const {
    return {freezer_.life.get(), spare_.life.get(), freezer_.process.get(), spare_.process.get()};
}

}  // namespace sallyport::guard
