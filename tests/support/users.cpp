#include "tests/support/users.hpp"

#include <crypt.h>
#include <grp.h>
#include <sched.h>
#include <sys/mount.h>
#include <unistd.h>

#include <array>
#include <stdexcept>

#include "tests/support/process.hpp"
#include "tests/support/scratch.hpp"

namespace sallyport::test {

void run_script(const std::string& script) {
    const Finished finished = run({.words = {"/bin/sh", "-euc", script},
                                   .environment = {"PATH=/usr/sbin:/usr/bin:/sbin:/bin"},
                                   .output = {}},
                                  milliseconds(60'000));
    if (finished.ending != 0) throw std::runtime_error(script + ": " + finished.error);
}

void enter_guest_with_users() {
    if (::unshare(CLONE_NEWNS) != 0) throw std::runtime_error("unshare");
    if (::mount(nullptr, "/", nullptr, MS_REC | MS_PRIVATE, nullptr) != 0) throw std::runtime_error("mount");
    run_script(R"(mount -t tmpfs -o mode=0755 test /home
        cp -a /etc /home/.etc
        mount --bind /home/.etc /etc
        echo 'crew:x:1600:alice,bob' >> /etc/group
        for user in alice:1500 bob:1501; do
            name=${user%:*} id=${user#*:}
            echo "$name:x:$id:$id::/home/$name:/bin/sh" >> /etc/passwd
            echo "$name:x:$id:" >> /etc/group
            echo "$name:*:19000:0:99999:7:::" >> /etc/shadow
        done)");
    make_homes();
}

void make_homes() {
    run_script(R"(for user in alice bob; do
            chattr -i /home/$user/.ssh/authorized_keys 2>/dev/null || :
            rm -rf /home/$user; mkdir -m 0755 /home/$user; chown $user:$user /home/$user
        done)");
}

std::string hash_of(std::string_view user) {
    const std::string text = "\n" + read_file("/etc/shadow");
    const std::string start = "\n" + std::string(user) + ":";
    const std::size_t at = text.find(start) + start.size();
    return text.substr(at, text.find(':', at) - at);
}

bool has_password(std::string_view user, std::string_view password) {
    const std::string hash = hash_of(user);
    const char* const made = ::crypt(std::string(password).c_str(), hash.c_str());
    return made != nullptr && hash == made;
}

bool become_alice() {
    constexpr std::array<gid_t, 2> kGroups{kAlice, 1600};
    return ::setgroups(kGroups.size(), kGroups.data()) == 0 && ::setresgid(kAlice, kAlice, kAlice) == 0 &&
           ::setresuid(kAlice, kAlice, kAlice) == 0;
}

}  // namespace sallyport::test
