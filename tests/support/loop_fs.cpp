#include "tests/support/loop_fs.hpp"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <linux/fs.h>
#include <linux/loop.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <unistd.h>

#include <cerrno>
#include <filesystem>
#include <stdexcept>

#include "tests/support/cage.hpp"

namespace sallyport::test {

namespace fs = std::filesystem;

namespace {

[[noreturn]] void fail(const std::string& what) {
    throw std::runtime_error(what + ": errno " + std::to_string(errno));
}

// A device that detaches itself when nothing uses it any more: whatever becomes of the test, it does not stay.
struct Loop {
    std::string name;
    UniqueFd fd;  // until it is mounted
};

// Takes a free one. Others on this machine look for one at the same time.
Loop attach(const std::string& image) {
    const UniqueFd control(::open("/dev/loop-control", O_RDWR | O_CLOEXEC));
    const UniqueFd file(::open(image.c_str(), O_RDWR | O_CLOEXEC));
    if (!control.is_open() || !file.is_open()) fail("loop " + image);
    for (int attempt = 0; attempt < 100; ++attempt) {
        const int number = ::ioctl(control.get(), LOOP_CTL_GET_FREE);
        std::string device = "/dev/loop" + std::to_string(number);
        UniqueFd loop(::open(device.c_str(), O_RDWR | O_CLOEXEC));
        loop_config config{};
        config.fd = static_cast<unsigned>(file.get());
        config.info.lo_flags = LO_FLAGS_AUTOCLEAR;
        if (loop.is_open() && ::ioctl(loop.get(), LOOP_CONFIGURE, &config) == 0)
            return {.name = std::move(device), .fd = std::move(loop)};
        if (errno != EBUSY) fail(device);
    }
    fail("no free loop device");
}

void make_file_system(const std::string& type, const std::string& device) {
    Program program{.words = {"/usr/sbin/mkfs." + type, "-q", device}};
    if (type == "ext4") program.words.insert(program.words.begin() + 2, {"-F", "-E", "nodiscard"});
    if (type == "xfs") program.words.insert(program.words.begin() + 2, {"-f", "-K"});
    if (type == "btrfs") program.words.insert(program.words.begin() + 2, {"-f", "-K"});
    const Finished finished = run(program, milliseconds(60'000));
    if (finished.ending != 0) throw std::runtime_error(program.words[0] + ": " + finished.error);
}

}  // namespace

LoopFs::LoopFs(const Wanted& wanted)
    : point_("/mnt/" + wanted.name), image_(wanted.folder + "/" + wanted.name + ".image") {
    expect_caged();
    const UniqueFd image(::open(image_.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600));
    if (!image.is_open() || ::ftruncate(image.get(), static_cast<off_t>(wanted.size)) != 0) fail(image_);
    const Loop loop = attach(image_);
    device_ = loop.name;
    make_file_system(wanted.type, device_);
    fs::create_directories(point_);
    if (::mount(device_.c_str(), point_.c_str(), wanted.type.c_str(), 0, nullptr) != 0)
        fail("mount " + point_);
}

LoopFs::~LoopFs() {
    UniqueFd directory(::open(point_.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    while (::ioctl(directory.get(), FITHAW, 0) == 0) ADD_FAILURE() << point_ << " was left frozen";
    directory.reset();
    // A guard whose broker was killed ends a moment later.
    EXPECT_TRUE(eventually([this] { return ::umount2(point_.c_str(), 0) == 0; }))
        << point_ << " errno " << errno;
    ::unlink(image_.c_str());
}

std::unique_ptr<Child> write_to(const std::string& file) {
    return std::make_unique<Child>([file] {
        const int fd = ::open(file.c_str(), O_WRONLY | O_CREAT, 0600);
        return fd >= 0 && ::write(fd, "written", 7) == 7 ? 0 : 1;
    });
}

bool is_writable(const std::string& folder, milliseconds patience) {
    return write_to(folder + "/probe")->wait(patience) == 0;
}

bool blocks_writers(const std::string& folder, std::unique_ptr<Child>& writer) {
    writer = write_to(folder + "/blocked");
    const pid_t process = writer->pid();
    return eventually([&] { return state_of(process) == 'D' || writer->has_ended(); }) &&
           !writer->has_ended();
}

BindMount::BindMount(const std::string& point, const std::string& other) : other_(other) {
    fs::create_directories(other);
    if (::mount(point.c_str(), other.c_str(), nullptr, MS_BIND, nullptr) != 0) fail("bind " + other);
}

BindMount::~BindMount() {
    // A guard that has thawed lets go a moment later.
    EXPECT_TRUE(eventually([this] { return ::umount2(other_.c_str(), 0) == 0; }))
        << other_ << " errno " << errno;
}

}  // namespace sallyport::test
