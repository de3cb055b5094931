// A clerk: a child of the files hand that carries out the broker's orders, one after the other.
// Runs in:  files, in a clerk, after lockdown_clerk()
// Input:    orders of a broker that may have been taken over
//
// THREAT: a dead server or the lock of a local user makes a clerk wait for ever. It is killed and replaced. So a clerk keeps
// nothing that others need: a file on a steady file system comes with each order and leaves with it. Only a file whose close can
// wait stays with the clerk that opened it, which then serves no other file.
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

    /// Carries out orders until the broker closes its end or breaks the contract. Returns the exit status.
    int run();

private:
    /// An order and the descriptors that came with it, which it owns.
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
    UniqueFd kept_;                  // the file of this clerk, if it keeps one
    std::vector<std::byte> buffer_;  // between file and arena
    ipc::Frame frame_;
    std::vector<UniqueFd> fds_;
    std::string bytes_;
};

}  // namespace sallyport::files
