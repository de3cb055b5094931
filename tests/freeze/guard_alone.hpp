// The guard by itself, with a broker that a test plays, and what a test sees of it and its children by ptrace.
#pragma once

#include <fcntl.h>
#include <linux/ptrace.h>
#include <poll.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <filesystem>
#include <memory>
#include <stdexcept>
#include <string>

#include "ipc/channel.hpp"
#include "ipc/codec.hpp"
#include "ipc/guard.pb.h"
#include "tests/freeze/freezing.hpp"

namespace sallyport::test {

namespace fs = std::filesystem;

class GuardAlone {
public:
    explicit GuardAlone(bool takes_over = false) {
        auto sockets = ipc::socket_pair();
        if (!sockets) throw std::runtime_error("socket_pair");
        broker_ = std::move(sockets->first);
        guard_ =
            std::make_unique<Child>(Program{.words = {build_root() + "/broker/guard/guard", "serve"},
                                            .environment = {},
                                            .output = {},
                                            .before_exec = [other = sockets->second.get()] {
                                                const int aside = ::fcntl(other, F_DUPFD, 10);
                                                if (::dup2(aside, 3) != 3 || ::close_range(4, ~0U, 0) != 0)
                                                    ::_exit(120);
                                            }});
        ipc::GuardRequest row;
        ipc::FreezeSelection& selection = *row.mutable_add_row()->mutable_selection();
        selection.set_max_frozen_ms(60'000);
        selection.set_per_mount_ms(10'000);
        say(row);
        ipc::GuardRequest lock;
        lock.mutable_lock()->set_take_over(takes_over);
        say(lock);
        if (!hear().has_ready()) throw std::runtime_error("the guard is not ready");
    }

    void say(const ipc::GuardRequest& request) const {
        std::string frame;
        ipc::encode(request, frame);
        EXPECT_TRUE(ipc::send(broker_, frame, ipc::WhenFull::kWait));
    }
    /// The next word but that it has begun.
    [[nodiscard]] ipc::GuardReply hear() const {
        ipc::GuardReply reply = hear_next();
        return reply.has_begun() ? hear_next() : reply;
    }
    [[nodiscard]] ipc::GuardReply hear_next() const {
        if (!wait_for(broker_.get(), POLLIN, Deadline())) throw std::runtime_error("the guard says nothing");
        ipc::Frame frame;
        ipc::GuardReply reply;
        std::string scratch;
        if (!ipc::receive(broker_, frame).value_or(false) || !ipc::decode(frame.bytes, reply, scratch))
            throw std::runtime_error("the guard is gone");
        return reply;
    }
    /// Has it read the list of mounts; the number of the file system that is mounted on `point`.
    std::uint32_t list(const std::string& point) const {
        ipc::GuardRequest request;
        request.mutable_list();
        say(request);
        const ipc::GuardReply reply = hear();
        for (const auto& mount : reply.listed().mounts())
            if (mount.point() == point) return mount.number();
        throw std::runtime_error("not listed: " + point);
    }
    /// Has it freeze all.
    [[nodiscard]] ipc::GuardReply freeze_all() const {
        order_freeze_of_all();
        return hear();
    }
    void order_freeze_of_all() const {
        ipc::GuardRequest request;
        request.mutable_freeze()->set_freeze(1);
        say(request);
    }
    /// Has it freeze the file system of that number; how many are frozen then.
    std::uint32_t freeze(std::uint32_t number) const {
        ipc::GuardRequest request;
        request.mutable_freeze()->set_chosen_only(true);
        request.mutable_freeze()->set_freeze(1);
        request.mutable_freeze()->add_chosen(number);
        say(request);
        return hear().frozen().count();
    }
    void thaw() const {
        ipc::GuardRequest request;
        request.mutable_thaw()->set_freeze(1);
        say(request);
        EXPECT_TRUE(hear().has_thawed());
    }

    [[nodiscard]] pid_t pid() const { return guard_->pid(); }

private:
    UniqueFd broker_;
    std::unique_ptr<Child> guard_;
};

template <typename... More>
long trace(int request, pid_t process, More... more) {
    return ::syscall(SYS_ptrace, request, process, more...);
}

// The call that a process is stopped at the beginning of; -1 if it is stopped elsewhere.
inline long call_begun(pid_t process, ptrace_syscall_info& info) {
    const bool begins = trace(PTRACE_GET_SYSCALL_INFO, process, sizeof info, &info) > 0 &&
                        info.op == PTRACE_SYSCALL_INFO_ENTRY;
    return begins ? static_cast<long>(info.entry.nr) : -1;
}

// Holds it where it is about to make that call.
inline void hold_at(pid_t process, long call) {
    int status = 0;
    while (::waitpid(process, &status, __WALL) == process && WIFSTOPPED(status)) {
        ptrace_syscall_info info{};
        if (call_begun(process, info) == call) return;
        trace(PTRACE_SYSCALL, process, 0, 0);
    }
    throw std::runtime_error("it ended before that call");
}

// The child that it has just made.
inline pid_t child_of_fork(pid_t process) {
    unsigned long child = 0;
    trace(PTRACE_GETEVENTMSG, process, 0, &child);
    return static_cast<pid_t>(child);
}

// The guard's next child; the guard is held where it has just made it.
inline pid_t next_child(pid_t guard) {
    int status = 0;
    while (::waitpid(guard, &status, __WALL) == guard && status >> 16 != PTRACE_EVENT_FORK)
        trace(PTRACE_CONT, guard, 0, 0);
    return child_of_fork(guard);
}

// The guard's next child, held where it is about to say something.
inline pid_t hold_planner(pid_t guard) {
    const pid_t planner = next_child(guard);
    hold_at(planner, SYS_sendto);
    return planner;
}

// What the guard, which is held, does first: begins to wait for the end of a process (true), or makes another.
inline bool waits_before_it_forks(pid_t guard) {
    int status = 0;
    trace(PTRACE_SYSCALL, guard, 0, 0);
    while (::waitpid(guard, &status, __WALL) == guard && WIFSTOPPED(status)) {
        if (status >> 16 == PTRACE_EVENT_FORK) return false;
        ptrace_syscall_info info{};
        long polled = 0;
        if (call_begun(guard, info) == SYS_ppoll &&
            trace(PTRACE_PEEKDATA, guard, info.entry.args[0], &polled) == 0) {
            const auto fd = std::to_string(static_cast<int>(polled));
            const auto what = fs::read_symlink("/proc/" + std::to_string(guard) + "/fd/" + fd);
            if (what == "anon_inode:[pidfd]") return true;
        }
        trace(PTRACE_SYSCALL, guard, 0, 0);
    }
    throw std::runtime_error("the guard has ended");
}

}  // namespace sallyport::test
