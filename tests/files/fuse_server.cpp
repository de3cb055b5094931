#include "tests/files/fuse_server.hpp"

#include <fcntl.h>
#include <linux/fuse.h>
#include <poll.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <csignal>
#include <cstring>
#include <filesystem>
#include <stdexcept>
#include <string_view>
#include <vector>

namespace sallyport::test {

namespace {

constexpr std::uint64_t kFile = 2;
constexpr std::string_view kContents = "contents";

class Server {
public:
    Server(FdRef device, FdRef noted, std::uint32_t hangs_at)
        : device_(device), noted_(noted), hangs_at_(hangs_at) {}

    int run() {
        std::vector<char> buffer(1 << 17);
        for (;;) {
            const ssize_t got = ::read(device_.get(), buffer.data(), buffer.size());
            if (got < 0 && (errno == EINTR || errno == ENOENT)) continue;
            if (got < static_cast<ssize_t>(sizeof(fuse_in_header))) return 0;
            fuse_in_header header{};
            std::memcpy(&header, buffer.data(), sizeof header);
            const std::string_view rest(buffer.data() + sizeof header,
                                        static_cast<std::size_t>(got) - sizeof header);
            if (header.opcode == hangs_at_) {
                [[maybe_unused]] const ssize_t told = ::write(noted_.get(), "1", 1);
                continue;
            }
            answer(header, rest);
        }
    }

private:
    void say(const fuse_in_header& header, int error, const void* data = nullptr, std::size_t size = 0) {
        fuse_out_header out{.len = static_cast<std::uint32_t>(sizeof(fuse_out_header) + size),
                            .error = -error,
                            .unique = header.unique};
        std::vector<char> all(out.len);
        std::memcpy(all.data(), &out, sizeof out);
        if (size > 0) std::memcpy(all.data() + sizeof out, data, size);
        [[maybe_unused]] const ssize_t put = ::write(device_.get(), all.data(), all.size());
    }
    template <typename Out>
    void say(const fuse_in_header& header, const Out& out) {
        say(header, 0, &out, sizeof out);
    }
    static fuse_attr attributes(std::uint64_t node) {
        fuse_attr attributes{};
        attributes.ino = node;
        attributes.mode = node == kFile ? S_IFREG | 0644U : S_IFDIR | 0755U;
        attributes.nlink = 1;
        attributes.size = node == kFile ? kContents.size() : 0;
        attributes.blksize = 512;
        return attributes;
    }
    void answer_lookup(const fuse_in_header& header, std::string_view rest) {
        if (!rest.starts_with(std::string_view("file\0", 5))) return say(header, ENOENT);
        fuse_entry_out out{};
        out.nodeid = kFile;
        out.attr = attributes(kFile);
        say(header, out);
    }
    void answer_init(const fuse_in_header& header) {
        fuse_init_out out{};
        out.major = FUSE_KERNEL_VERSION;
        out.minor = 31;
        out.max_write = 4096;
        say(header, out);
    }
    void answer_read(const fuse_in_header& header, std::string_view rest) {
        fuse_read_in in{};
        std::memcpy(&in, rest.data(), sizeof in);
        const std::string_view part =
            in.offset < kContents.size() ? kContents.substr(in.offset, in.size) : "";
        say(header, 0, part.data(), part.size());
    }
    void answer(const fuse_in_header& header, std::string_view rest) {
        switch (header.opcode) {
            case FUSE_INIT:
                return answer_init(header);
            case FUSE_LOOKUP:
                return answer_lookup(header, rest);
            case FUSE_GETATTR:
            case FUSE_SETATTR: {
                fuse_attr_out out{};
                out.attr = attributes(header.nodeid);
                return say(header, out);
            }
            case FUSE_OPEN: {
                fuse_open_out out{};
                out.open_flags = FOPEN_DIRECT_IO;
                return say(header, out);
            }
            case FUSE_READ:
                return answer_read(header, rest);
            case FUSE_WRITE: {
                fuse_write_in in{};
                std::memcpy(&in, rest.data(), sizeof in);
                fuse_write_out out{};
                out.size = in.size;
                return say(header, out);
            }
            case FUSE_STATFS:
                return say(header, fuse_statfs_out{});
            case FUSE_FLUSH:
            case FUSE_RELEASE:
                return say(header, 0);
            case FUSE_FORGET:
            case FUSE_BATCH_FORGET:
            case FUSE_INTERRUPT:
                return;
            default:
                return say(header, ENOSYS);
        }
    }

    FdRef device_;
    FdRef noted_;
    std::uint32_t hangs_at_;
};

}  // namespace

FuseServer::FuseServer(const std::string& point, std::uint32_t hangs_at) : point_(point) {
    std::filesystem::create_directories(point);
    const UniqueFd device(::open("/dev/fuse", O_RDWR | O_CLOEXEC));
    std::array<int, 2> ends{};
    if (!device.is_open() || ::pipe2(ends.data(), O_CLOEXEC) != 0) throw std::runtime_error("/dev/fuse");
    noted_ = UniqueFd(ends[0]);
    const UniqueFd to_note(ends[1]);
    const std::string options =
        "fd=" + std::to_string(device.get()) + ",rootmode=40000,user_id=0,group_id=0,allow_other";
    if (::mount("test", point.c_str(), "fuse", MS_NOSUID | MS_NODEV, options.c_str()) != 0)
        throw std::runtime_error("mount " + point);
    server_ = std::make_unique<Child>([&] { return Server(device, to_note, hangs_at).run(); });
}

bool FuseServer::is_waited_for() const {
    pollfd wanted{.fd = noted_.get(), .events = POLLIN, .revents = 0};
    return ::poll(&wanted, 1, static_cast<int>(kPatience.count())) == 1;
}

bool FuseServer::has_been_asked() const {
    pollfd wanted{.fd = noted_.get(), .events = POLLIN, .revents = 0};
    return ::poll(&wanted, 1, 0) == 1;
}

void FuseServer::release() {
    if (!server_) return;
    server_->signal(SIGKILL);
    server_->wait();
    server_.reset();
    ::umount2(point_.c_str(), MNT_DETACH);
}

}  // namespace sallyport::test
