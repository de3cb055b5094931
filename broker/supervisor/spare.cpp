// A supervisor and a program's own process, which wait for an order.
// Runs in:  launcher
#include "broker/supervisor/spare.hpp"

#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <string>
#include <utility>

#include "broker/supervisor/supervise.hpp"
#include "ipc/channel.hpp"
#include "ipc/codec.hpp"

namespace sallyport::supervisor {

Spare make_spare(const ipc::LauncherTable& table, Group group) {
    Spare spare{.socket = {},
                .memory = UniqueFd(::memfd_create("sallyport-output", MFD_CLOEXEC)),
                .order = UniqueFd(::memfd_create("sallyport-order", MFD_CLOEXEC)),
                .go = {},
                .group = std::move(group)};
    auto pair = ipc::socket_pair();
    std::array<int, 2> go{-1, -1};
    if (!spare.memory.is_open() || !spare.order.is_open() || !pair || ::pipe2(go.data(), O_CLOEXEC) != 0)
        return spare;
    const UniqueFd go_end(go[0]);
    spare.go = UniqueFd(go[1]);
    const pid_t pid = ::fork();
    if (pid == 0)
        supervise(table, {.socket = pair->second,
                          .memory = spare.memory,
                          .order = spare.order,
                          .group = spare.group.directory,
                          .go = go_end});
    if (pid > 0) spare.socket = std::move(pair->first);
    return spare;
}

int hand_over(const Spare& spare, const ipc::LauncherTable& table, const ipc::ExecOrder& order) {
    const auto& terms = table.exec(static_cast<int>(order.template_())).confine();
    if (const int error = table.groups_bind() ? bind_group(spare.group.directory, terms) : 0; error != 0)
        return error;
    std::string bytes;
    ipc::encode(order, bytes);
    if (::pwrite(spare.order.get(), bytes.data(), bytes.size(), 0) != static_cast<ssize_t>(bytes.size()))
        return errno;
    ipc::ExecOrder head;
    head.set_number(order.number());
    head.set_template_(order.template_());
    head.set_capture(order.capture());
    ipc::encode(head, bytes);
    const auto sent = ipc::send(spare.socket, bytes, ipc::WhenFull::kFail);
    return sent && ::write(spare.go.get(), "", 1) == 1 ? 0 : EIO;
}

}  // namespace sallyport::supervisor
