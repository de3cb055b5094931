// A clerk: a child of the files hand, which carries out the orders of the broker, one after the other.
// Runs in:  files, in a clerk, after lockdown_clerk()
// Input:    orders of a broker that may have been taken over
//
// THREAT: a clerk is made to wait for ever, by a server that is dead or a lock of a local user. It is killed and replaced. So what others
// need is not kept here: a file of a steady file system comes with each order and goes with it. Only a file whose closing can wait stays
// with the clerk that opened it, and is that clerk's alone.
#pragma once

#include <optional>

#include "base/clock.hpp"
#include "broker/files/order.hpp"
#include "broker/files/table.hpp"
#include "ipc/arena.hpp"
#include "ipc/files.pb.h"
#include "ipc/handover.hpp"

namespace sallyport::files {

class Clerk {
public:
    Clerk(UniqueFd broker, const Table& table, ExpiryClock clock)
        : broker_(std::move(broker)), table_(table), clock_(clock) {}

    /// Carries out orders until the broker closes its end, or breaks the contract. Gives back the exit status.
    int run();

private:
    /// What came with an order; nothing is left open of it.
    struct Given {
        ipc::FileOrder order;
        UniqueFd fd;
    };
    /// Waits for the next order. Errors: kClosed, kInvalid, kLimit, kSystem.
    Result<Given> take();
    /// Errors: kInvalid if the order breaks the contract.
    Status carry_out(Given given);
    Status open(const ipc::OpenOrder& order);
    Status move(const ipc::FileOrder& order, UniqueFd fd);
    Status seek(const ipc::SeekOrder& order);
    Status close(UniqueFd fd);
    Status take_arena(UniqueFd fd);
    Status hand_over(Opened opened);
    Status say(const ipc::FileReport& report, FdRef fd = FdRef(-1));
    Status say_failed(const Unopened& why);

    UniqueFd broker_;
    const Table& table_;
    ExpiryClock clock_;
    std::optional<ipc::Arena> arena_;
    UniqueFd kept_;                  // the file of this clerk
    std::vector<std::byte> buffer_;  // between a file and the arena
    ipc::Frame frame_;
    std::vector<UniqueFd> fds_;
    std::string bytes_;
};

}  // namespace sallyport::files
