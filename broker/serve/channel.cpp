// Runs in:  broker
#include "broker/serve/channel.hpp"

#include <sys/socket.h>

#include <linux/vm_sockets.h>  // which needs the types of <sys/socket.h>
#include <unistd.h>

#include <algorithm>

namespace sallyport::broker {

Result<Accepted> accept_host(const Channel& channel, const policy::Policy& policy) {
    sockaddr_vm address{};
    socklen_t size = sizeof address;
    const bool is_unix = channel.kind == policy::compiled::Service::UNIX_LISTEN;
    auto* const peer_address = is_unix ? nullptr : reinterpret_cast<sockaddr*>(&address);
    Accepted accepted;
    accepted.fd = UniqueFd(
        ::accept4(channel.fd.get(), peer_address, is_unix ? nullptr : &size, SOCK_CLOEXEC | SOCK_NONBLOCK));
    if (!accepted.fd.is_open()) return system_error("accept4");
    bool is_welcome = false;
    if (is_unix) {
        ucred peer{};
        size = sizeof peer;
        if (::getsockopt(accepted.fd.get(), SOL_SOCKET, SO_PEERCRED, &peer, &size) != 0)
            return system_error("SO_PEERCRED");
        accepted.peer = peer.uid;
        is_welcome =
            peer.uid == 0 || peer.uid == ::geteuid() || std::ranges::count(policy.peer_uids, peer.uid) > 0;
    } else {
        accepted.peer = address.svm_cid;
        is_welcome =
            accepted.peer == VMADDR_CID_HOST || std::ranges::count(policy.peer_cids, accepted.peer) > 0;
    }
    if (!is_welcome) accepted.fd.reset();
    return accepted;
}

}  // namespace sallyport::broker
