// Processes of an errand whose parent is gone before they can look who it is: they end, and do nothing.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <pwd.h>
#include <sched.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <functional>

#include "base/unique_fd.hpp"
#include "broker/accounts/child.hpp"

namespace {

// In the process whose next child is left alone.
bool leaves_its_child = false;

// What an orphan has done, in memory that it shares with the test.
bool& has_asked_database() {
    static void* const shared =
        ::mmap(nullptr, sizeof(bool), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    return *static_cast<bool*>(shared);
}

}  // namespace

// These take the place of libc's in the whole program.

extern "C" pid_t fork() noexcept {
    const pid_t parent = ::getpid();
    const pid_t pid = ::_Fork();
    if (!leaves_its_child) return pid;
    if (pid != 0) ::_exit(0);
    while (::getppid() == parent) ::sched_yield();
    return 0;
}

extern "C" int getpwnam_r(const char* /*name*/, passwd* /*entry*/, char* /*text*/, std::size_t /*size*/,
                          passwd** found) {
    has_asked_database() = true;
    *found = nullptr;
    return 0;
}

namespace sallyport::accounts {
namespace {

// How a process ends that `work` forks, and whose parent is gone then. The exit status, or -1.
int status_of_orphan(const std::function<void()>& work) {
    has_asked_database() = false;
    EXPECT_EQ(::prctl(PR_SET_CHILD_SUBREAPER, 1), 0);
    const pid_t parent = ::_Fork();
    if (parent == 0) {
        leaves_its_child = true;
        work();
        ::_exit(99);
    }
    int status = 0;
    EXPECT_EQ(::waitpid(parent, &status, 0), parent);
    EXPECT_TRUE(WIFEXITED(status) && WEXITSTATUS(status) == 0);
    EXPECT_GT(::waitpid(-1, &status, 0), 0);
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

TEST(Orphan, DoesNotAskTheUserDatabase) {
    EXPECT_EQ(status_of_orphan([] { [[maybe_unused]] const auto none = look_up("ann"); }), 1);
    EXPECT_FALSE(has_asked_database());
}

TEST(Orphan, DoesNotBecomeChpasswd) {
    const UniqueFd nothing(::open("/dev/null", O_RDONLY | O_CLOEXEC));
    EXPECT_EQ(status_of_orphan([&] { run_chpasswd(false, nothing.get()); }), 127);
}

TEST(Orphan, DoesNotBecomeAUserWhoWorksOnKeys) {
    ipc::Account account;
    account.set_uid(::geteuid() == 0 ? 65534 : ::geteuid());
    account.set_gid(::geteuid() == 0 ? 65534 : ::getegid());
    EXPECT_EQ(status_of_orphan([&] {
                  const pid_t launcher = ::getpid();
                  if (::fork() == 0) ::_exit(become(account, launcher));
              }),
              ESRCH);
}

}  // namespace
}  // namespace sallyport::accounts
