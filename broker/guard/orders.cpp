// What the broker orders: a list, a freeze, a trim; and the thaw of what an earlier run left frozen.
// Runs in:  guard
// Input:    numbers from the broker; mount points from the planner
#include <fcntl.h>
#include <linux/fs.h>
#include <sys/ioctl.h>

#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>

#include "broker/guard/select.hpp"
#include "broker/guard/serve.hpp"
#include "broker/guard/spawn.hpp"
#include "ipc/codec.hpp"

namespace sallyport::guard {

namespace {

constexpr std::size_t kListPart = 32 << 10U;  // bytes of names in one frame

ipc::MountError mount_error(ipc::MountError::Step step, const std::string& point, int sys_errno) {
    ipc::MountError error;
    error.set_step(step);
    error.set_mount(point);
    error.set_sys_errno(sys_errno);
    return error;
}

ipc::MountError plan_error(const Error& error) {
    return mount_error(ipc::MountError::PLAN, "", error.sys_errno == 0 ? EIO : error.sys_errno);
}

// By the first of its mount points that can be opened. One that is covered, or a file, is no error: then nothing.
std::optional<Held> open_system(const Planned& system, const ipc::FreezeSelection& selection,
                                std::optional<ipc::MountError>& error) {
    for (const Place& place : system.places) {
        auto directory = open_selected(place, selection);
        if (directory) return Held{.fd = *std::move(directory), .point = place.point, .level = system.level};
        const int why = directory.error().sys_errno;
        if (why != ESTALE && why != ENOTDIR && why != ENOENT && !error)
            error = mount_error(ipc::MountError::OPEN, place.point, why);
    }
    return std::nullopt;
}

std::vector<Held> open_all(const std::vector<Planned>& systems, const ipc::FreezeSelection& selection,
                           std::optional<ipc::MountError>& error) {
    std::vector<Held> held;
    for (const Planned& system : systems) {
        std::optional<ipc::MountError> fault;
        if (auto one = open_system(system, selection, fault))
            held.push_back(*std::move(one));
        else if (fault && !error)
            error = fault;
    }
    return held;
}

ipc::Trimmed trim_one(const Held& held, std::uint64_t minimum) {
    ipc::Trimmed trimmed;
    fstrim_range range{.start = 0, .len = ~0ULL, .minlen = minimum};
    trimmed.set_mount(held.point);
    if (::ioctl(held.fd.get(), FITRIM, &range) != 0) {
        *trimmed.mutable_error() = mount_error(ipc::MountError::TRIM, held.point, errno);
    } else {
        trimmed.set_trimmed(range.len);
        trimmed.set_minimum(range.minlen);
    }
    return trimmed;
}

}  // namespace

// What the planner has no business with goes first: the broker would hear it in the guard's name.
Status Guard::make_plan(const ipc::FreezeSelection& selection) {
    const std::array kept_from_it{STDIN_FILENO, STDOUT_FILENO, STDERR_FILENO, broker_.get(),
                                  root_.get(),  timer_.get(),  trimmer_.get()};
    plan_ = TRY(planner_.plan(selection, kept_from_it));
    return {};
}

void Guard::list(std::uint32_t row) {
    ipc::GuardReply reply;
    ipc::Listed& listed = *reply.mutable_listed();
    plan_.clear();
    listed_ = {};
    if (row < rows_.size() && phase_ == Phase::kIdle) listed_ = make_plan(rows_[row]);
    for (const Planned& system : plan_) {
        for (const Place& place : system.places) {
            ipc::Listed::Mount& entry = *listed.add_mounts();
            entry.set_number(static_cast<std::uint32_t>(&system - plan_.data()));
            entry.set_point(place.point);
            if (listed.ByteSizeLong() < kListPart) continue;
            listed.set_more(true);
            send(reply);
            listed.Clear();
        }
    }
    send(reply);
}

std::vector<Held> Guard::open_chosen(const ipc::Freeze& freeze, std::optional<ipc::MountError>& error) {
    // A list that could not be made is not a list of nothing.
    const Status made = freeze.chosen_only() ? std::exchange(listed_, {}) : make_plan(row_);
    if (!made) error = plan_error(made.error());
    if (freeze.chosen_only()) {
        std::vector<Planned> chosen;
        for (const std::uint32_t number : freeze.chosen())
            if (number < plan_.size()) chosen.push_back(std::move(plan_[number]));
        plan_ = std::move(chosen);
    }
    return error ? std::vector<Held>() : open_all(plan_, row_, error);
}

void Guard::freeze(const ipc::Freeze& freeze) {
    std::optional<ipc::MountError> error;
    std::vector<Held> held;
    if (freeze.row() >= rows_.size() || phase_ != Phase::kIdle || trimmer_.is_open()) {
        error = mount_error(ipc::MountError::FREEZE, "", EBUSY);
    } else {
        row_ = rows_[freeze.row()];
        freeze_ = freeze.freeze();
        held = open_chosen(freeze, error);
    }
    plan_.clear();
    ipc::GuardReply reply;
    if (!error && held.empty()) {
        reply.mutable_frozen();
        return send(reply);
    }
    if (!error) {
        auto family =
            Family::start(std::move(held), row_.fail_if_frozen(), Family::Task::kFreeze, {broker_, freeze_});
        if (!family) error = mount_error(ipc::MountError::FREEZE, "", family.error().sys_errno);
        if (family) family_ = *std::move(family);
    }
    if (error) {
        *reply.mutable_freeze_failed()->mutable_error() = *error;
        return send(reply);
    }
    move(Turn::kFreezeOrdered);
    step_ns_ = now_ns();
    due_ns_ = step_ns_ + std::int64_t{row_.max_frozen_ms()} * 1'000'000;
}

// Every local file system that can be opened: which ones the earlier run had frozen, nobody knows any more.
ipc::GuardReady Guard::take_over(std::uint64_t state_mount) {
    ipc::GuardReady ready;
    std::optional<ipc::MountError> ignored;
    if (!make_plan({})) return ready;
    const bool blocks_us = std::ranges::any_of(plan_, [&](const Planned& system) {
        return std::ranges::find(system.places, state_mount, &Place::mount) != system.places.end();
    });
    auto family =
        Family::start(open_all(plan_, {}, ignored), false, Family::Task::kTakeOver, {broker_, freeze_});
    plan_.clear();
    if (!family) return ready;
    family_ = *std::move(family);
    row_.set_max_frozen_ms(kDefaultMaxFrozenMs);
    for (const ipc::FreezeSelection& row : rows_)
        row_.set_max_frozen_ms(std::min(row_.max_frozen_ms(), row.max_frozen_ms()));
    due_ns_ = now_ns() + std::int64_t{row_.max_frozen_ms()} * 1'000'000;
    move(Turn::kTakenOver);
    ready.set_frozen(family_->left());
    ready.set_thaws(blocks_us);
    if (blocks_us) thaw(ipc::Thawed::COMMAND);
    return ready;
}

Result<std::uint32_t> Guard::thaw_everything() {
    take_over(0);
    if (!family_) return failure(Errc::kSystem, "the list of mounts cannot be read, or no process started");
    thaw(ipc::Thawed::COMMAND);
    const std::int64_t give_up = now_ns() + 5'000'000'000;
    while (!family_->is_thawed() && now_ns() < give_up) {
        turn();
        if (!family_->is_thawed()) family_->help();
    }
    if (!family_->is_thawed()) return failure(Errc::kLimit, "a file system cannot be thawed in time");
    return family_->count(State::kThawed);
}

// In a child, since it can take hours; it tells the broker itself, and its end is the end.
void Guard::trim(const ipc::Trim& trim) {
    const auto refuse = [this](const ipc::MountError& error) {
        ipc::GuardReply reply;
        reply.mutable_trimmed()->set_last(true);
        *reply.mutable_trimmed()->mutable_error() = error;
        send(reply);
    };
    if (trim.row() >= rows_.size() || phase_ != Phase::kIdle || trimmer_.is_open())
        return refuse(mount_error(ipc::MountError::TRIM, "", EBUSY));
    if (const Status made = make_plan(rows_[trim.row()]); !made) return refuse(plan_error(made.error()));
    const auto body = [&] {
        for (const Planned& system : plan_) {
            std::optional<ipc::MountError> error;
            const auto held = open_system(system, rows_[trim.row()], error);
            if (!held && !error) continue;
            ipc::GuardReply reply;
            if (held) *reply.mutable_trimmed() = trim_one(*held, trim.minimum());
            if (!held) reply.mutable_trimmed()->set_mount(error->mount());
            if (!held) *reply.mutable_trimmed()->mutable_error() = *error;
            ipc::encode(reply, bytes_);
            if (!ipc::send(broker_, bytes_, ipc::WhenFull::kWait)) return;
        }
    };
    auto child = fork_child(body);
    plan_.clear();
    if (!child) return refuse(mount_error(ipc::MountError::TRIM, "", child.error().sys_errno));
    trimmer_ = *std::move(child);
}

}  // namespace sallyport::guard
