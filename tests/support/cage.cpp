#include "tests/support/cage.hpp"
#include "tests/support/agent.hpp"

#include <fcntl.h>
#include <linux/fs.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <set>
#include <sstream>
#include <stdexcept>
#include <vector>

#include "base/unique_fd.hpp"

namespace sallyport::test {

namespace fs = std::filesystem;

namespace {

constexpr const char* kInside = "SALLYPORT_CAGE";
constexpr const char* kBuild = "/build";
constexpr int kLoopNodes = 128;

// Of the system; what is not there is left out.
constexpr std::array kTools{"/usr/sbin/mkfs.ext4", "/usr/sbin/mkfs.xfs", "/usr/sbin/mkfs.btrfs",
                            "/usr/sbin/qemu-ga",   "/usr/sbin/losetup",  "/bin/sh",
                            "/usr/bin/sleep",      "/usr/bin/cat"};

void check(bool done, const std::string& what) {
    if (!done) throw std::runtime_error("cage: " + what + ": " + std::to_string(errno));
}

void copy_to(const fs::path& from, const fs::path& to) {
    fs::create_directories(to.parent_path());
    fs::copy_file(from, to, fs::copy_options::overwrite_existing);
}

std::set<std::string> libraries_of(const fs::path& program) {
    std::set<std::string> found;
    const std::string command = "ldd " + program.string() + " 2>/dev/null";
    std::FILE* output = ::popen(command.c_str(), "r");
    check(output != nullptr, "ldd");
    std::array<char, 4096> line{};
    while (std::fgets(line.data(), line.size(), output) != nullptr) {
        std::istringstream words(line.data());
        for (std::string word; words >> word;)
            if (word.starts_with('/')) found.insert(word);
    }
    ::pclose(output);
    return found;
}

void install(const fs::path& program, const fs::path& root, const fs::path& to) {
    if (!fs::exists(program)) return;
    copy_to(fs::canonical(program), root.string() + to.string());
    for (const std::string& library : libraries_of(program))
        if (!fs::exists(root.string() + library)) copy_to(fs::canonical(library), root.string() + library);
}

void fill(const fs::path& root, const fs::path& build) {
    for (const char* name : kPrograms) install(build / name, root, fs::path(kBuild) / name);
    const char* const puppet = "tests/hostile/puppet_worker";
    install(build / puppet, root, fs::path(kBuild) / puppet);
    for (const char* tool : kTools) install(tool, root, tool);
    install(fs::canonical("/proc/self/exe"), root, "/test");
    for (const char* name : {"/etc/passwd", "/etc/mke2fs.conf", "/etc/ld.so.cache"})
        if (fs::exists(name)) copy_to(name, root.string() + name);
    for (const char* folder : {"/tmp", "/mnt", "/proc", "/sys", "/dev", "/run", "/old", "/var"})
        fs::create_directories(root.string() + folder);
    ::chmod((root / "tmp").c_str(), 01777);
}

void make_node(const std::string& path, unsigned major, unsigned minor, mode_t kind) {
    check(::mknod(path.c_str(), kind | 0666, makedev(major, minor)) == 0, path);
    ::chmod(path.c_str(), 0666);
}

void make_nodes(const std::string& dev) {
    make_node(dev + "/null", 1, 3, S_IFCHR);
    make_node(dev + "/zero", 1, 5, S_IFCHR);
    make_node(dev + "/urandom", 1, 9, S_IFCHR);
    make_node(dev + "/loop-control", 10, 237, S_IFCHR);
    fs::create_symlink("/proc/self/fd", dev + "/fd");
    for (int loop = 0; loop < kLoopNodes; ++loop)
        make_node(dev + "/loop" + std::to_string(loop), 7, static_cast<unsigned>(loop), S_IFBLK);
}

void go_inside(const fs::path& root) {
    const char* build = std::getenv("SALLYPORT_BUILD_ROOT");
    check(build != nullptr, "SALLYPORT_BUILD_ROOT");
    check(::unshare(CLONE_NEWNS) == 0, "unshare");
    check(::mount(nullptr, "/", nullptr, MS_REC | MS_PRIVATE, nullptr) == 0, "private");
    check(::mount("cage", root.c_str(), "tmpfs", 0, "mode=0755,size=80%") == 0, "tmpfs");
    fill(root, build);
    make_nodes(root / "dev");
    check(::mount("proc", (root / "proc").c_str(), "proc", 0, nullptr) == 0, "proc");
    check(::mount("sysfs", (root / "sys").c_str(), "sysfs", 0, nullptr) == 0, "sysfs");
    check(::chdir(root.c_str()) == 0 && ::syscall(SYS_pivot_root, ".", "old") == 0, "pivot_root");
    check(::chdir("/") == 0 && ::umount2("/old", MNT_DETACH) == 0, "old root");
}

std::vector<std::string> loop_mounts() {
    std::ifstream mounts("/proc/self/mountinfo");
    std::vector<std::string> points;
    for (std::string line; std::getline(mounts, line);) {
        std::istringstream words(line);
        std::string skipped;
        std::string point;
        words >> skipped >> skipped >> skipped >> skipped >> point;
        if (line.find(" /dev/loop") != std::string::npos) points.insert(points.begin(), point);
    }
    return points;
}

// In the namespace of an inner run that is over. Some are under others: until nothing is left, or nothing helps.
void clean_up(int mount_namespace) {
    const pid_t child = ::fork();
    if (child > 0) ::waitpid(child, nullptr, 0);
    if (child != 0) return;
    if (::setns(mount_namespace, CLONE_NEWNS) != 0 || ::chdir("/") != 0) ::_exit(1);
    for (int round = 0; round < 4; ++round) {
        for (const std::string& point : loop_mounts()) {
            const UniqueFd directory(::open(point.c_str(), O_RDONLY | O_DIRECTORY));
            while (::ioctl(directory.get(), FITHAW, 0) == 0) {
            }
        }
        for (const std::string& point : loop_mounts()) ::umount2(point.c_str(), 0);
    }
    ::_exit(0);
}

void fetch_results(int cage, const std::string& to) {
    const UniqueFd results(::openat(cage, "results.json", O_RDONLY));
    if (!results.is_open() || to.empty()) return;
    std::ofstream copy(to);
    std::array<char, 65536> part{};
    for (ssize_t got = 0; (got = ::read(results.get(), part.data(), part.size())) > 0;)
        copy.write(part.data(), got);
}

std::string wanted_results() {
    const char* output = std::getenv("GTEST_OUTPUT");
    const std::string text = output == nullptr ? "" : output;
    return text.starts_with("json:") ? text.substr(5) : "";
}

[[noreturn]] void run_inside(const fs::path& root, int report, char** argv) {
    try {
        go_inside(root);
    } catch (const std::exception& error) {
        std::fprintf(stderr, "%s\n", error.what());
        ::_exit(99);
    }
    ::setenv(kInside, "1", 1);
    ::setenv("SALLYPORT_BUILD_ROOT", kBuild, 1);
    ::setenv("TMPDIR", "/tmp", 1);
    if (std::getenv("GTEST_OUTPUT") != nullptr) ::setenv("GTEST_OUTPUT", "json:/results.json", 1);
    [[maybe_unused]] const ssize_t told = ::write(report, "", 1);
    ::close(report);
    ::execv("/test", argv);
    ::_exit(98);
}

}  // namespace

int run_caged(int, char** argv) {
    if (std::getenv(kInside) != nullptr) return -1;
    std::string name = fs::temp_directory_path() / "sallyport-cage-XXXXXX";
    check(::mkdtemp(name.data()) != nullptr, name);
    std::array<int, 2> ready{};
    check(::pipe2(ready.data(), O_CLOEXEC) == 0, "pipe");
    const pid_t inner = ::fork();
    if (inner == 0) {
        ::prctl(PR_SET_PDEATHSIG, SIGKILL);
        run_inside(name, ready[1], argv);
    }
    ::close(ready[1]);
    char byte = 0;
    const bool is_inside = ::read(ready[0], &byte, 1) == 1;
    const std::string proc = "/proc/" + std::to_string(inner);
    const UniqueFd space(::open((proc + "/ns/mnt").c_str(), O_RDONLY | O_CLOEXEC));
    const UniqueFd cage(::open((proc + "/root").c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    int status = 0;
    ::waitpid(inner, &status, 0);
    if (is_inside) {
        fetch_results(cage.get(), wanted_results());
        clean_up(space.get());
    }
    fs::remove(name);
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

void expect_caged() {
    std::ifstream mounts("/proc/self/mountinfo");
    for (std::string line; std::getline(mounts, line);) {
        const std::string what = line.substr(line.find(" - ") + 3);
        const std::string type = what.substr(0, what.find(' '));
        const bool is_ours = what.find(" /dev/loop") != std::string::npos;
        if (!is_ours && type != "tmpfs" && type != "proc" && type != "sysfs")
            throw std::runtime_error("not in a cage: " + line);
    }
}

}  // namespace sallyport::test
