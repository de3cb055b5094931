// A thaw that is ordered while somebody is inside a freeze.
#include <gtest/gtest.h>
#include <linux/fs.h>
#include <signal.h>

#include <set>

#include "tests/freeze/guard_alone.hpp"

namespace sallyport::test {
namespace {

// Follows a guard and all of its children, call by call.
class Followed {
public:
    explicit Followed(const GuardAlone& guard) : guard_(guard.pid()) {
        constexpr long kOptions = PTRACE_O_TRACEFORK | PTRACE_O_TRACESYSGOOD;
        EXPECT_EQ(trace(PTRACE_SEIZE, guard_, 0, kOptions), 0);
        EXPECT_EQ(trace(PTRACE_INTERRUPT, guard_, 0, 0), 0);
    }

    // What is left of the family is of no more use; the guard ends as it always does.
    ~Followed() {
        int status = 0;
        for (const pid_t one : seen_) {
            ::kill(one, SIGKILL);
            while (::waitpid(one, &status, __WALL) == one && WIFSTOPPED(status)) {
            }
        }
        if (trace(PTRACE_DETACH, guard_, 0, 0) == 0) return;
        trace(PTRACE_INTERRUPT, guard_, 0, 0);
        ::waitpid(guard_, &status, __WALL);
        trace(PTRACE_DETACH, guard_, 0, 0);
    }
    Followed(const Followed&) = delete;
    Followed& operator=(const Followed&) = delete;

    struct Call {
        pid_t process = -1;
        bool begins = false;
        long number = -1;
        std::uint64_t second = 0;  // argument
        std::int64_t result = 0;
    };
    /// The next beginning or end of a call, whoever makes it; he stops there until go_on().
    Call next() {
        for (;;) {
            int status = 0;
            Call call{.process = ::waitpid(-1, &status, __WALL)};
            if (call.process < 0) throw std::runtime_error("nobody is left to be followed");
            if (call.process != guard_) seen_.insert(call.process);
            if (!WIFSTOPPED(status)) continue;
            if (WSTOPSIG(status) != (SIGTRAP | 0x80)) {
                const bool is_signal = status >> 16 == 0;
                trace(PTRACE_SYSCALL, call.process, 0, is_signal ? WSTOPSIG(status) : 0);
                continue;
            }
            ptrace_syscall_info info{};
            trace(PTRACE_GET_SYSCALL_INFO, call.process, sizeof info, &info);
            call.begins = info.op == PTRACE_SYSCALL_INFO_ENTRY;
            call.number = call.begins ? static_cast<long>(info.entry.nr) : -1;
            call.second = call.begins ? info.entry.args[1] : 0;
            call.result = call.begins ? 0 : info.exit.rval;
            return call;
        }
    }
    static void go_on(pid_t process) { trace(PTRACE_SYSCALL, process, 0, 0); }
    /// Whoever comes to a freeze or thaw of `request`; he is held there, and the others go on.
    pid_t hold_at(std::uint64_t request) {
        for (;;) {
            const Call call = next();
            if (call.number == SYS_ioctl && call.second == request) return call.process;
            go_on(call.process);
        }
    }
    /// Until the guard has heard something, has done what it says, and waits again.
    void let_the_guard_hear() {
        bool has_heard = false;
        for (bool receives = false;;) {
            const Call call = next();
            const bool is_guard = call.process == guard_;
            go_on(call.process);
            if (!is_guard) continue;
            if (!call.begins && receives && call.result > 1) has_heard = true;
            receives = call.number == SYS_recvfrom;
            if (has_heard && call.number == SYS_ppoll) return;
        }
    }

private:
    pid_t guard_;
    std::set<pid_t> seen_;
};

void order_freeze(const GuardAlone& guard, std::uint32_t number) {
    ipc::GuardRequest request;
    request.mutable_freeze()->set_chosen_only(true);
    request.mutable_freeze()->set_freeze(1);
    request.mutable_freeze()->add_chosen(number);
    guard.say(request);
}
void order_thaw(const GuardAlone& guard) {
    ipc::GuardRequest request;
    request.mutable_thaw()->set_freeze(1);
    guard.say(request);
}

// The one that was inside the freeze does not leave it to others, who may be waiting for somebody else that is.
TEST(AFreezeThatIsDoneAfterTheOrderToThaw, IsThawedByWhoeverFroze) {
    const auto systems = make_systems(1);
    const GuardAlone guard;
    const std::uint32_t number = guard.list("/mnt/fs0");
    Followed followed(guard);
    order_freeze(guard, number);
    const pid_t freezes = followed.hold_at(FIFREEZE);
    order_thaw(guard);
    followed.let_the_guard_hear();
    // All but this one are kept where they are at their next call.
    Followed::go_on(freezes);
    bool has_thawed = false;
    while (!has_thawed) {
        const Followed::Call call = followed.next();
        if (call.process != freezes) continue;
        ASSERT_NE(call.number, SYS_exit_group) << "it leaves what it froze to others";
        has_thawed = call.number == SYS_ioctl && call.second == FITHAW;
        Followed::go_on(freezes);
    }
    EXPECT_TRUE(all_are_writable(systems));
}

// A disk that hangs holds up whoever asks it for something: a child, never the guard, which has the deadline.
TEST(AGuardThatHasAChild, MakesNoCallThatADiskCanBlock) {
    const auto systems = make_systems(2);
    const GuardAlone guard;
    const std::uint32_t number = guard.list("/mnt/fs0");
    Followed followed(guard);
    order_freeze(guard, number);
    ipc::GuardRequest thaw;
    thaw.mutable_thaw()->set_freeze(1);
    std::set<long> calls;
    bool is_begun = false;
    bool is_told = false;
    for (bool has_thawed = false; !has_thawed;) {
        const Followed::Call call = followed.next();
        if (call.process != guard.pid()) {
            is_begun = is_begun || call.number == SYS_syncfs;
            has_thawed = call.number == SYS_ioctl && call.second == FITHAW;
            if (!is_told && call.number == SYS_ioctl && call.second == FIFREEZE) {
                guard.say(thaw);
                is_told = true;
            }
        } else if (is_begun && call.begins) {
            calls.insert(call.number);
        }
        Followed::go_on(call.process);
    }
    EXPECT_TRUE(calls.contains(SYS_ppoll));
    const std::set<long> harmless{SYS_ppoll,      SYS_sendto,          SYS_recvfrom, SYS_shutdown,
                                  SYS_close,      SYS_timerfd_settime, SYS_clone,    SYS_clone3,
                                  SYS_pidfd_open, SYS_wait4,           SYS_waitid,   SYS_munmap,
                                  SYS_read,       SYS_getpid,          SYS_exit,     SYS_socketpair};
    for (const long call : calls) EXPECT_TRUE(harmless.contains(call)) << call;
    EXPECT_TRUE(all_are_writable(systems));
}

}  // namespace
}  // namespace sallyport::test
