// The broker's end of the conversation with the files hand: which clerk is at work on what, and what becomes of one that is late.
// Runs in:  broker
// Input:    frames of the hand, which no byte of the host but paths and contents reaches; what it says is checked all the same
//
// INVARIANT: nothing here waits, and no last reference to a file is closed here.
#pragma once

#include <poll.h>

#include <cstdint>
#include <optional>
#include <set>
#include <vector>

#include "base/result.hpp"
#include "base/unique_fd.hpp"
#include "ipc/arena.hpp"
#include "ipc/files.pb.h"
#include "ipc/handover.hpp"

namespace sallyport::broker {

/// What a clerk has said about its order; its file, if that was to open one. Nothing (OP_NOT_SET): it has ended, said something
/// else, or is late, and is given up.
struct ClerkReport {
    std::uint64_t clerk = 0;
    ipc::FileReport report;
    UniqueFd file;
    bool is_late = false;
};

class FilesHand {
public:
    /// No hand: no rule lets a file be opened.
    FilesHand() = default;
    explicit FilesHand(UniqueFd parent) : parent_(std::move(parent)) {}

    [[nodiscard]] FdRef parent() const { return parent_; }
    /// Adds the sockets of those who are at work.
    void add_at_work(std::vector<pollfd>& wanted) const;

    /// Has the hand start a clerk, unless one is coming already. False if there are too many: those that wait for a disk, or for a
    /// server, cannot be ended.
    bool want_clerk();

    /// An order, and what goes with it.
    struct Work {
        const ipc::FileOrder& order;
        FdRef file = FdRef(-1);             // it may be closed after that: the clerk closes it last
        const ipc::Arena* arena = nullptr;  // the order is about a part of it
    };
    /// Gives a clerk that has nothing to do an order; its report is due in kFileTimeoutNs. False if the clerk has ended, or has
    /// something to do.
    bool order(std::uint64_t clerk, const Work& work);
    /// The same, for any clerk that keeps no file. 0: none is free, but one will be. Nothing: there are too many that cannot be ended.
    std::optional<std::uint64_t> order_any(const Work& work);
    /// No clerk has the arena any more, once its order is done.
    void forget_arena();

    /// Has a file closed by a clerk, now or as soon as one is free.
    void close(UniqueFd file);
    /// Has a clerk close the file that it keeps, and does not wait for that.
    void close_kept(std::uint64_t number);
    [[nodiscard]] std::size_t count_kept() const;
    /// Whether a clerk is at work on a read or a write with the arena of the present connection.
    [[nodiscard]] bool is_moving() const;
    /// Whether that clerk is at work, or was given up and may still be.
    [[nodiscard]] bool may_be_at_work(std::uint64_t number) const;

    /// Takes what the parent says. The error number if it could not start a clerk, else 0. Errors: kClosed, kInvalid (it is not
    /// what we started), kLimit, kSystem.
    Result<int> hear_parent();
    /// What a clerk says, if any has something to say. One that should have said something by `now_ns` is given up: it is killed, the file
    /// that it keeps is gone, and what it may still say is not heard.
    std::optional<ClerkReport> hear_clerk(std::int64_t now_ns);
    /// When the first report is due.
    [[nodiscard]] std::optional<std::int64_t> first_due() const;

private:
    struct Clerk {
        std::uint64_t number = 0;
        UniqueFd socket;
        std::int64_t due_ns = 0;                                      // 0: nothing to do
        bool keeps = false;                                           // a file
        ipc::FileOrder::OpCase at_work = ipc::FileOrder::OP_NOT_SET;  // on this; or was, last
        std::size_t most = 0;                                         // bytes that this is about
        bool is_unwanted = false;  // the file that it keeps, once its order is done
        bool has_arena = false;
        bool has_ended = false;
        [[nodiscard]] bool moves() const {
            return at_work == ipc::FileOrder::kRead || at_work == ipc::FileOrder::kWrite;
        }
    };
    Clerk* find(std::uint64_t number);
    [[nodiscard]] std::uint64_t free_clerk() const;
    Status tell(const ipc::FilesRequest& request);
    bool send(Clerk& clerk, const ipc::FileOrder& order, FdRef file);
    enum class Said : std::uint8_t { kNothing, kReport, kFault };
    Said hear(Clerk& clerk, ClerkReport& said);
    static bool is_answer(const Clerk& clerk, const ClerkReport& said);
    void give_up(std::uint64_t number);
    void forget(std::uint64_t number);
    void close_waiting();
    void let_extra_go();

    UniqueFd parent_;
    std::vector<Clerk> clerks_;
    std::set<std::uint64_t> killed_;  // that have not ended
    std::set<std::uint64_t> let_go_;  // the same; they have nothing to do
    std::vector<UniqueFd> to_close_;
    bool is_coming_ = false;  // a clerk
    std::uint64_t last_ = 0;
    ipc::Frame frame_;
    std::vector<UniqueFd> fds_;
    std::string bytes_;
};

}  // namespace sallyport::broker
