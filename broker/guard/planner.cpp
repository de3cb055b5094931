// Runs in:  guard; tell() in the child
// Input:    the planner's frames; in the child: kernel texts, parts of which are chosen by those who mount
#include "broker/guard/planner.hpp"

#include <fcntl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <csignal>

#include "broker/freeze_plan/plan.hpp"
#include "broker/guard/spawn.hpp"
#include "ipc/channel.hpp"
#include "ipc/codec.hpp"
#include "ipc/limits.hpp"
#include "sandbox/lockdown.hpp"

namespace sallyport::guard {

namespace {

constexpr std::size_t kPart = 32 << 10U;  // bytes of paths in one frame, not counting the last path
constexpr std::size_t kMaxPlaces = 65'536;
constexpr std::size_t kMaxPlan = std::size_t{16} << 20U;  // bytes of all its frames
constexpr std::int64_t kPatience = 5'000'000'000;         // ns
constexpr std::int64_t kDeathPatience =
    500'000'000;  // ns; a killed planner has ended by then, unless it waits for a disk

Result<std::vector<freeze_plan::FileSystem>> make(FdRef mounts_file, const freeze_plan::BlockGraph& graph,
                                                  const ipc::FreezeSelection& selection) {
    const std::string text = TRY(freeze_plan::read_text(mounts_file));
    const auto mounts = TRY(freeze_plan::parse_mounts(text));
    auto systems = freeze_plan::plan(
        mounts, selection, [&](const freeze_plan::Mount& mount) { return graph.backing_files(mount); });
    std::erase_if(systems,
                  [](const auto& system) { return system.skipped != nullptr && !system.is_covered; });
    return systems;
}

// Waits until `due_ns`.
Status wait_for(FdRef fd, std::int64_t due_ns) {
    const std::int64_t left_ms = std::max<std::int64_t>(0, (due_ns - now_ns()) / 1'000'000);
    if (is_readable(fd, static_cast<int>(left_ms))) return {};
    return std::unexpected(Error{Errc::kLimit, "the planner takes too long", ETIMEDOUT});
}

}  // namespace

Result<Plan> hear_plan(FdRef child, std::int64_t due_ns) {
    Plan plan;
    ipc::Frame frame;
    PlanPart part;
    std::size_t places = 0;
    std::size_t bytes = 0;
    while (!part.last()) {
        TRY(wait_for(child, due_ns));
        part.Clear();
        if (!TRY(ipc::hear(child, part, frame))) continue;
        if (part.sys_errno() != 0) return std::unexpected(Error{Errc::kSystem, "no plan", part.sys_errno()});
        TRY(add_part(part, plan.systems));
        plan.covered = part.covered();
        places += static_cast<std::size_t>(part.places_size());
        bytes += frame.bytes.size();
        if (places > kMaxPlaces || bytes > kMaxPlan)
            return failure(Errc::kLimit, "the planner names too many mounts");
    }
    return plan;
}

Status add_part(const PlanPart& part, std::vector<Planned>& plan) {
    if (part.places().empty() && !part.last()) return failure(Errc::kInvalid, "planner: an empty part");
    for (const PlanPart::Place& place : part.places()) {
        const std::string& point = place.point();
        if (!point.starts_with('/') || point.size() > kMaxPath || point.find('\0') != std::string::npos)
            return failure(Errc::kInvalid, "planner: no mount point");
        if (place.system() == plan.size()) {
            if (plan.size() == kMaxFreezeMounts) return failure(Errc::kLimit, "too many file systems");
            if (!plan.empty() && place.level() < plan.back().level)
                return failure(Errc::kInvalid, "planner: a level out of order");
            plan.push_back({.places = {}, .level = place.level()});
        }
        if (place.system() + 1 != plan.size() || place.level() != plan.back().level)
            return failure(Errc::kInvalid, "planner: a file system out of order");
        plan.back().places.push_back({.mount = place.mount(), .point = point});
    }
    return {};
}

Result<Planner> Planner::open() {
    Planner planner;
    planner.mounts_ = UniqueFd(::open("/proc/self/mountinfo", O_RDONLY | O_CLOEXEC));
    if (!planner.mounts_.is_open()) return system_error("/proc/self/mountinfo");
    planner.graph_ = TRY(freeze_plan::BlockGraph::open());
    planner.filter_ = TRY(sandbox::filter_of_planners());
    return planner;
}

void Planner::tell(FdRef guard, const ipc::FreezeSelection& selection) const {
    if (!sandbox::lockdown_planner(graph_.sys(), filter_)) return;
    PlanPart part;
    const auto send = [&] {
        const bool is_sent = ipc::say(guard, part, ipc::WhenFull::kWait).has_value();
        part.Clear();
        return is_sent;
    };
    const auto made = make(mounts_, graph_, selection);
    if (!made) part.set_sys_errno(made.error().sys_errno == 0 ? EIO : made.error().sys_errno);
    auto systems = made.value_or(std::vector<freeze_plan::FileSystem>());
    const auto covered = std::erase_if(systems, [](const auto& system) { return system.is_covered; });
    for (std::uint32_t number = 0; number < systems.size(); ++number) {
        for (const freeze_plan::Mount& mount : systems[number].mounts) {
            PlanPart::Place& place = *part.add_places();
            place.set_system(number);
            place.set_level(systems[number].level);
            place.set_mount(mount.id);
            place.set_point(mount.point);
            if (part.ByteSizeLong() >= kPart && !send()) return;
        }
    }
    part.set_last(true);
    part.set_covered(static_cast<std::uint32_t>(covered));
    send();
}

Result<Plan> Planner::plan(const ipc::FreezeSelection& selection, std::span<const int> kept_from_it) {
    const std::int64_t due_ns = now_ns() + kPatience;
    if (process_.is_open() && !is_readable(process_, 0))
        return std::unexpected(Error{Errc::kLimit, "the last planner has not ended", EBUSY});
    auto sockets = TRY(ipc::socket_pair());
    auto& [ours, theirs] = sockets;
    process_ = TRY(fork_child([&] {
        for (const int fd : kept_from_it)
            if (fd >= 0) ::close(fd);
        ::close(ours.release());
        tell(theirs, selection);
    }));
    theirs.reset();
    auto plan = hear_plan(ours, due_ns);
    ours.reset();
    const Status ended = end_process(plan ? due_ns : now_ns());
    if (plan && !ended) return std::unexpected(ended.error());
    return plan;
}

// Waits for the planner's end, since only the guard and its family may exist when the first file system is frozen.
//
// THREAT: a read of /sys or of the list of mounts never ends. Then one planner is killed, and later orders are still possible.
Status Planner::end_process(std::int64_t due_ns) {
    const Status ended = wait_for(process_, due_ns);
    if (ended) return {};
    ::syscall(SYS_pidfd_send_signal, process_.get(), SIGKILL, nullptr, 0);
    (void)wait_for(process_, now_ns() + kDeathPatience);
    return ended;
}

}  // namespace sallyport::guard
