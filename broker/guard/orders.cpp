// Carries out the broker's orders: list, freeze, trim. Also thaws what an earlier run left frozen.
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
constexpr int kOpenings = 3;                  // how many times a freeze is planned

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

bool is_one_of(const Planned& system, const std::vector<std::uint64_t>& mounts) {
    return std::ranges::any_of(system.places, [&](const Place& place) {
        return std::ranges::find(mounts, place.mount) != mounts.end();
    });
}

struct Opened {
    std::vector<Held> held;
    std::uint32_t left_out = 0;
    std::optional<ipc::MountError> error;
};

// Opens the file system by the first mount point that works. One that is mounted only as files cannot be opened; that is no
// error, and nothing is returned.
std::optional<Held> open_system(const Planned& system, const ipc::FreezeSelection& selection,
                                std::optional<ipc::MountError>& error) {
    bool is_of_files = false;
    for (const Place& place : system.places) {
        if (!is_named(place, selection)) continue;
        auto directory = open_selected(place, selection);
        if (directory) return Held{.fd = *std::move(directory), .point = place.point, .level = system.level};
        const int why = directory.error().sys_errno;
        is_of_files |= why == ENOTDIR;
        if (why != ENOTDIR && !error) error = mount_error(ipc::MountError::OPEN, place.point, why);
    }
    if (!is_of_files && !error)
        error = mount_error(ipc::MountError::OPEN, system.places.front().point, ESTALE);
    return std::nullopt;
}

Opened open_all(const std::vector<Planned>& systems, const ipc::FreezeSelection& selection,
                std::uint64_t state_mount) {
    Opened opened;
    for (const Planned& system : systems) {
        std::optional<ipc::MountError> fault;
        auto one = open_system(system, selection, fault);
        if (one) {
            one->holds_state = is_one_of(system, {state_mount});
            opened.held.push_back(*std::move(one));
            continue;
        }
        if (!fault) ++opened.left_out;
        if (!opened.error) opened.error = fault;
    }
    return opened;
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

// The planner does not get these descriptors: it could speak to the broker as if it were the guard.
Status Guard::make_plan(const ipc::FreezeSelection& selection) {
    const std::array kept_from_it{STDIN_FILENO, STDOUT_FILENO, STDERR_FILENO, broker_.get(),
                                  root_.get(),  timer_.get(),  trimmer_.get()};
    plan_ = TRY(planner_.plan(selection, kept_from_it));
    return {};
}

void Guard::list(std::uint32_t row) {
    ipc::GuardReply reply;
    ipc::Listed& listed = *reply.mutable_listed();
    plan_ = {};
    listed_ = {};
    if (row < rows_.size() && phase_ == Phase::kIdle) listed_ = make_plan(rows_[row]);
    for (const Planned& system : plan_.systems) {
        for (const Place& place : system.places) {
            ipc::Listed::Mount& entry = *listed.add_mounts();
            entry.set_number(static_cast<std::uint32_t>(&system - plan_.systems.data()));
            entry.set_point(place.point);
            if (listed.ByteSizeLong() < kListPart) continue;
            listed.set_more(true);
            send(reply);
            listed.Clear();
        }
    }
    send(reply);
}

// Keeps the chosen file systems of the last list; `mounts` becomes all their mounts.
std::size_t Guard::keep_chosen(const ipc::Freeze& freeze, std::vector<std::uint64_t>& mounts) {
    std::vector<Planned> chosen;
    for (const std::uint32_t number : freeze.chosen())
        if (number < plan_.systems.size()) chosen.push_back(std::move(plan_.systems[number]));
    plan_ = {.systems = std::move(chosen)};
    for (const Planned& system : plan_.systems)
        for (const Place& place : system.places) mounts.push_back(place.mount);
    return plan_.systems.size();
}

// Opens what is to be frozen, or sets an error if any of it cannot be opened.
//
// THREAT: a local user renames a directory above a mount point after it was planned, so that a disk is left out and the host
// hears of success. What is not found is planned again: then it is found, it is gone, or it is an error.
std::vector<Held> Guard::open_chosen(const ipc::Freeze& freeze, std::optional<ipc::MountError>& error) {
    // A list that failed must not count as an empty one.
    Status made = freeze.chosen_only() ? std::exchange(listed_, {}) : make_plan(row_);
    std::vector<std::uint64_t> mounts;
    const std::size_t wanted = made && freeze.chosen_only() ? keep_chosen(freeze, mounts) : 0;
    Opened opened;
    for (int tries = 1; made; ++tries) {
        opened = open_all(plan_.systems, row_, state_mount_);
        if (!opened.error || tries == kOpenings) break;
        made = make_plan(row_);
        if (freeze.chosen_only())
            std::erase_if(plan_.systems, [&](const Planned& one) { return !is_one_of(one, mounts); });
    }
    left_out_ =
        opened.left_out + (freeze.chosen_only()
                               ? static_cast<std::uint32_t>(wanted - std::min(wanted, plan_.systems.size()))
                               : plan_.covered);
    error = opened.error;
    if (!made) error = plan_error(made.error());
    return std::move(opened.held);
}

void Guard::freeze(const ipc::Freeze& freeze) {
    std::optional<ipc::MountError> error;
    std::vector<Held> held;
    left_out_ = 0;
    if (freeze.row() >= rows_.size() || phase_ != Phase::kIdle || trimmer_.is_open()) {
        error = mount_error(ipc::MountError::FREEZE, "", EBUSY);
    } else {
        row_ = rows_[freeze.row()];
        freeze_ = freeze.freeze();
        held = open_chosen(freeze, error);
    }
    plan_ = {};
    ipc::GuardReply reply;
    if (!error && held.empty()) {
        reply.mutable_frozen()->set_left_out(left_out_);
        return send(reply);
    }
    // If opening took so long that the broker gave the freeze up, its next order or its end of file is there.
    if (!error && is_readable(broker_, 0)) error = mount_error(ipc::MountError::FREEZE, "", ECANCELED);
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
    reply.mutable_begun();
    send(reply);
    move(Turn::kFreezeOrdered);
    step_ns_ = now_ns();
    due_ns_ = step_ns_ + std::int64_t{row_.max_frozen_ms()} * 1'000'000;
}

// Every local file system that can be opened: nobody knows any more which of them the earlier run had frozen.
ipc::GuardReady Guard::take_over() {
    ipc::GuardReady ready;
    if (!make_plan({})) return ready;
    const bool blocks_us = std::ranges::any_of(
        plan_.systems, [&](const Planned& system) { return is_one_of(system, {state_mount_}); });
    Opened opened = open_all(plan_.systems, {}, state_mount_);
    for (int tries = 1; opened.error && tries < kOpenings && make_plan({}); ++tries)
        opened = open_all(plan_.systems, {}, state_mount_);
    auto family = Family::start(std::move(opened.held), false, Family::Task::kTakeOver, {broker_, freeze_});
    plan_ = {};
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
    take_over();
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

// In a child, since a trim can take hours. The child reports to the broker itself; its end ends the trim.
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
        for (const Planned& system : plan_.systems) {
            std::optional<ipc::MountError> error;
            const auto held = open_system(system, rows_[trim.row()], error);
            if (!held && !error) continue;
            ipc::GuardReply reply;
            if (held) *reply.mutable_trimmed() = trim_one(*held, trim.minimum());
            if (!held) reply.mutable_trimmed()->set_mount(error->mount());
            if (!held) *reply.mutable_trimmed()->mutable_error() = *error;
            if (!ipc::say(broker_, reply, ipc::WhenFull::kWait)) return;
        }
    };
    auto child = fork_child(body);
    plan_ = {};
    if (!child) return refuse(mount_error(ipc::MountError::TRIM, "", child.error().sys_errno));
    trimmer_ = *std::move(child);
    ipc::GuardReply begun;
    begun.mutable_begun();
    send(begun);
}

}  // namespace sallyport::guard
