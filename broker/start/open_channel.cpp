// Runs in:  starter
#include "broker/start/open_channel.hpp"

#include <sys/socket.h>

#include <fcntl.h>
#include <linux/vm_sockets.h>  // which needs the types of <sys/socket.h>
#include <poll.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <termios.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstddef>
#include <cstdio>
#include <cstdlib>
#include <optional>
#include <string_view>

namespace sallyport::starter {

namespace {

constexpr int kBacklog = 1;  // like qemu-ga: one host at a time, the next one waits
constexpr int kRetryMs = 5000;
constexpr int kActivationFd = 3;

using broker::Channel;
using policy::compiled::Service;

Status set_raw(FdRef terminal) {
    termios settings{};
    if (::tcgetattr(terminal.get(), &settings) != 0) return system_error("is no serial line");
    settings.c_iflag = 0;
    settings.c_oflag = 0;
    settings.c_lflag = 0;
    settings.c_cc[VMIN] = 1;
    settings.c_cc[VTIME] = 0;
    if (::cfsetspeed(&settings, B38400) != 0) return system_error("cfsetspeed");
    if (::tcflush(terminal.get(), TCIFLUSH) != 0) return system_error("tcflush");
    if (::tcsetattr(terminal.get(), TCSANOW, &settings) != 0) return system_error("tcsetattr");
    return {};
}

Result<UniqueFd> open_device(const Service& options, bool is_isa) {
    const int flags = O_RDWR | O_NONBLOCK | O_CLOEXEC | (is_isa ? O_NOCTTY : 0);
    for (;;) {
        UniqueFd fd(::open(options.path().c_str(), flags));
        if (fd.is_open()) {
            if (!is_isa) return fd;
            if (const auto set = set_raw(fd); !set) return std::unexpected(set.error());
            return fd;
        }
        if (!options.retry_path()) return system_error("error opening channel");
        std::fprintf(stderr, "sallyportd: waiting for channel path %s\n", options.path().c_str());
        ::poll(nullptr, 0, kRetryMs);
    }
}

Result<UniqueFd> listen_on(int family, const sockaddr* address, socklen_t size) {
    UniqueFd fd(::socket(family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
    if (!fd.is_open()) return system_error("a socket of this kind cannot be made");
    if (::bind(fd.get(), address, size) != 0) return system_error("the socket cannot be made there");
    if (::listen(fd.get(), kBacklog) != 0) return system_error("listen");
    return fd;
}

Result<UniqueFd> listen_unix(const std::string& path, bool others_may_try) {
    sockaddr_un address{.sun_family = AF_UNIX, .sun_path = {}};
    if (path.size() >= sizeof address.sun_path)
        return failure(Errc::kLimit, "too long: the path of a unix socket has 107 bytes at most");
    std::copy(path.begin(), path.end(), address.sun_path);
    struct stat info{};
    if (::lstat(path.c_str(), &info) == 0) {
        if (!S_ISSOCK(info.st_mode))
            return failure(Errc::kInvalid, "the channel path exists and is not a socket");
        if (::unlink(path.c_str()) != 0) return system_error("the socket that is there cannot be removed");
    }
    const mode_t before = ::umask(others_may_try ? 0111 : 0177);
    auto fd = listen_on(AF_UNIX, reinterpret_cast<const sockaddr*>(&address), sizeof address);
    ::umask(before);
    return fd;
}

Result<UniqueFd> listen_vsock(std::uint32_t cid, std::uint32_t port) {
    sockaddr_vm address{};
    address.svm_family = AF_VSOCK;
    address.svm_cid = cid;
    address.svm_port = port;
    return listen_on(AF_VSOCK, reinterpret_cast<const sockaddr*>(&address), sizeof address);
}

// The variables are for us only if they name our process id. In any case no child gets to see them.
Result<std::optional<Channel>> take_activation() {
    const char* pid = std::getenv("LISTEN_PID");
    const char* count = std::getenv("LISTEN_FDS");
    const bool is_ours = pid != nullptr && count != nullptr && std::to_string(::getpid()) == pid;
    const std::string sockets = is_ours ? count : "0";
    ::unsetenv("LISTEN_PID");
    ::unsetenv("LISTEN_FDS");
    ::unsetenv("LISTEN_FDNAMES");
    if (sockets == "0") return std::optional<Channel>();
    if (sockets != "1") return failure(Errc::kInvalid, "only listening on one socket is supported");
    int family = 0;
    socklen_t size = sizeof family;
    if (::getsockopt(kActivationFd, SOL_SOCKET, SO_DOMAIN, &family, &size) != 0)
        return system_error("SO_DOMAIN");
    if (family != AF_UNIX && family != AF_VSOCK) return failure(Errc::kInvalid, "unsupported listen fd type");
    if (::fcntl(kActivationFd, F_SETFD, FD_CLOEXEC) != 0 || ::fcntl(kActivationFd, F_SETFL, O_NONBLOCK) != 0)
        return system_error("fcntl");
    const auto kind = family == AF_UNIX ? Service::UNIX_LISTEN : Service::VSOCK_LISTEN;
    return Channel{.kind = kind, .fd = UniqueFd(kActivationFd)};
}

}  // namespace

Result<Channel> open_channel(const Service& options) {
    if (auto activated = TRY(take_activation())) return *std::move(activated);
    Channel channel{.kind = options.method(), .fd = {}};
    if (!channel.listens()) channel.fd = TRY(open_device(options, channel.kind == Service::ISA_SERIAL));
    return channel;
}

Result<UniqueFd> connect_to_manager() {
    const char* variable = std::getenv("NOTIFY_SOCKET");
    if (variable == nullptr) return UniqueFd();
    const std::string_view name(variable);
    sockaddr_un address{.sun_family = AF_UNIX, .sun_path = {}};
    if (name.empty() || name.size() >= sizeof address.sun_path)
        return failure(Errc::kLimit, "NOTIFY_SOCKET: unusable");
    std::ranges::copy(name, address.sun_path);
    if (name.front() == '@') address.sun_path[0] = '\0';
    const auto size = static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + name.size());
    UniqueFd socket(::socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
    if (!socket.is_open()) return system_error("socket");
    if (::connect(socket.get(), reinterpret_cast<const sockaddr*>(&address), size) != 0)
        return system_error("NOTIFY_SOCKET");
    ::unsetenv("NOTIFY_SOCKET");
    return socket;
}

Status start_listening(Channel& channel, const Service& options, const policy::Policy& policy) {
    if (channel.fd.is_open()) return {};
    if (channel.kind == Service::VSOCK_LISTEN)
        channel.fd = TRY(listen_vsock(options.vsock_cid(), options.vsock_port()));
    else
        channel.fd = TRY(listen_unix(options.path(), !policy.peer_uids.empty()));
    return {};
}

}  // namespace sallyport::starter
