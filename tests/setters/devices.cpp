#include "tests/setters/devices.hpp"

#include <linux/capability.h>
#include <sys/prctl.h>

#include <filesystem>
#include <stdexcept>

#include "tests/e2e/guest.hpp"
#include "tests/support/scratch.hpp"

namespace sallyport::test {

namespace {

const std::string kProcessors = "/sys/devices/system/cpu";
const std::string kMemory = "/sys/devices/system/memory";

std::string text_in(const std::string& path) {
    return std::filesystem::is_regular_file(path) ? read_file(path) : "";
}

}  // namespace

Devices::Devices() {
    enter_own_guest();
    // THREAT to the machine that the tests run on: what is executed from here on never gets the right back.
    if (::prctl(PR_CAPBSET_DROP, CAP_SYS_TIME, 0, 0, 0) != 0) throw std::runtime_error("PR_CAPBSET_DROP");
    shell("mkdir -p /run/devices && mount -t tmpfs -o mode=755 none /run/devices");
    shell(
        "for name in null zero full random urandom; do cp -a /dev/$name /run/devices/; done\n"
        "ln -s /proc/self/fd /run/devices/fd; mknod /run/devices/fuse c 10 229; mkdir /run/devices/shm\n"
        "mount --move /run/devices /dev");
    for (const std::string& directory : {kProcessors, kMemory})
        shell("mount -t tmpfs -o mode=755 none " + directory);
    reset();
}

Devices::~Devices() {
    shell("umount -l " + kProcessors + " " + kMemory + " /dev");
}

void Devices::change(const std::string& script) const {
    shell("C=" + kProcessors + " M=" + kMemory + "\n" + script);
}

void Devices::reset() const {
    change(
        "rm -rf $C/* $M/* /dev/rtc0; mkdir $C/cpu0 $C/cpu1 $C/cpu2 $C/cpu3 $C/cpufreq $C/cpuidle\n"
        "mkdir $M/memory0 $M/memory1 $M/memory2 $M/memory3\n"
        "for n in 1 2 3; do echo 1 > $C/cpu$n/online; done\n"
        "for n in 0 1 2; do echo online > $M/memory$n/state; done; echo offline > $M/memory3/state\n"
        "for n in 0 1 2 3; do echo 1 > $M/memory$n/removable; done\n"
        "echo 8000000 > $M/block_size_bytes");
}

std::string Devices::processor(int number) const {
    return text_in(kProcessors + "/cpu" + std::to_string(number) + "/online");
}

std::string Devices::block(int number) const {
    return text_in(kMemory + "/memory" + std::to_string(number) + "/state");
}

void Devices::with_hardware_clock(bool is_there) const {
    shell(is_there ? ": > /dev/rtc0" : "rm -f /dev/rtc0");
}

}  // namespace sallyport::test
