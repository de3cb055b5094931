#include "tests/support/no_power.hpp"

#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <filesystem>

namespace sallyport::test {

namespace fs = std::filesystem;

namespace {

// The pid namespace of the first process of a system has this inode number, whatever it runs on.
constexpr ino_t kFirstPidNamespace = 0xEFFFFFFC;

[[noreturn]] void give_up(const char* what) {
    std::perror(what);
    std::_Exit(99);
}

void mount_or_give_up(const char* type, const std::string& on, const std::string& data) {
    if (::mount("none", on.c_str(), type, 0, data.c_str()) != 0) give_up(on.c_str());
}

bool is_apart() {
    struct stat own{};
    return ::getpid() == 1 && ::stat("/proc/self/ns/pid", &own) == 0 && own.st_ino != kFirstPidNamespace;
}

void hide_the_machine() {
    if (!is_apart()) give_up("this test must be started by unshare --mount --pid --fork --mount-proc");
    if (::mount(nullptr, "/", nullptr, MS_REC | MS_PRIVATE, nullptr) != 0) give_up("private mounts");
    mount_or_give_up("tmpfs", "/sys", "mode=755");
    mount_or_give_up("tmpfs", "/run", "mode=755");
    mount_or_give_up("tmpfs", "/mnt", "mode=755");
    for (const std::string name : {"bin", "sbin"}) {
        const std::string upper = "/mnt/" + name + "-upper";
        const std::string work = "/mnt/" + name + "-work";
        fs::create_directory(upper);
        fs::create_directory(work);
        mount_or_give_up("overlay", "/usr/" + name,
                         "lowerdir=/usr/" + name + ",upperdir=" + upper + ",workdir=" + work);
        for (const char* program :
             {"systemctl", "shutdown", "poweroff", "halt", "reboot", "telinit", "init", "pm-suspend",
              "pm-hibernate", "pm-suspend-hybrid", "pm-is-supported", "loginctl"})
            fs::remove("/usr/" + name + "/" + program);
    }
}

}  // namespace

NoPower::NoPower() {
    static const bool is_hidden = [] {
        hide_the_machine();
        return true;
    }();
    static_cast<void>(is_hidden);
    fs::create_directories("/run/systemd/system");
    put("/usr/bin/systemctl", "while [ -e " + scratch_.path("block") + " ]; do /bin/sleep 0.02; done\n");
}

NoPower::~NoPower() {
    for (const char* path :
         {"/run/systemd", "/sys/power", "/usr/bin/systemctl", "/usr/sbin/shutdown", "/usr/sbin/poweroff",
          "/usr/sbin/pm-suspend", "/usr/sbin/pm-hibernate", "/usr/bin/pm-is-supported"})
        fs::remove_all(path);
}

void NoPower::put(const std::string& path, std::string_view body, mode_t mode) const {
    const bool is_ctl = path.ends_with("/systemctl");
    const std::string name = is_ctl ? "" : fs::path(path).filename().string() + " ";
    const std::string text =
        "#!/bin/sh\necho \"" + name + "$*\" >> " + scratch_.path("calls") + "\n" + std::string(body);
    fs::remove(path);
    std::FILE* file = std::fopen(path.c_str(), "we");
    if (file == nullptr || std::fputs(text.c_str(), file) < 0 || std::fclose(file) != 0)
        give_up(path.c_str());
    if (::chmod(path.c_str(), mode) != 0) give_up(path.c_str());
}

void NoPower::take_away(const std::string& path) const {
    fs::remove(path);
}

void NoPower::without_systemd() const {
    fs::remove_all("/run/systemd");
}

void NoPower::offer_states(std::string_view text) const {
    fs::create_directories("/sys/power");
    scratch_.write("state", text);
    fs::copy_file(scratch_.path("state"), "/sys/power/state", fs::copy_options::overwrite_existing);
}

std::string NoPower::calls() const {
    return fs::exists(scratch_.path("calls")) ? read_file(scratch_.path("calls")) : "";
}

void NoPower::block() const {
    scratch_.write("block", "");
}

void NoPower::release() const {
    fs::remove(scratch_.path("block"));
}

}  // namespace sallyport::test
