// The broker's end of the conversation with the files hand: which clerk has which order, and what happens to a late one.
// Runs in:  broker
// Input:    frames of the hand; the host reaches it only with paths and contents, but its frames are checked all the same
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

/// A clerk's report about its order, and the file if the order was an open. OP_NOT_SET: it has ended, reported something else or
/// is late, and has been abandoned.
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
    /// Adds the sockets of busy clerks.
    void add_at_work(std::vector<pollfd>& wanted) const;

    /// Has the hand start a clerk, unless one is already coming. False if there are too many: those that wait for a disk or
    /// server cannot be ended.
    bool want_clerk();

    /// An order and what belongs to it.
    struct Work {
        const ipc::FileOrder& order;
        FdRef file = FdRef(-1);             // may be closed afterwards: the clerk closes it last
        const ipc::Arena* arena = nullptr;  // if the order is about a part of it
    };
    /// Gives an order to an idle clerk; its report is due in kFileTimeoutNs. False if the clerk has ended or is busy.
    bool order(std::uint64_t clerk, const Work& work);
    /// The same, for any clerk that keeps no file. 0: none is free, but one will be. Nothing: too many clerks hang.
    std::optional<std::uint64_t> order_any(const Work& work);
    /// Every clerk drops the arena once its order is done.
    void forget_arena();

    /// Has a clerk close the file, now or as soon as one is free.
    void close(UniqueFd file);
    /// Has a clerk close the file that it keeps, without waiting for it.
    void close_kept(std::uint64_t number);
    [[nodiscard]] std::size_t count_kept() const;
    /// Whether a clerk is busy with a read or write in the current connection's arena.
    [[nodiscard]] bool is_moving() const;
    /// Whether that clerk is busy, or was abandoned and may still be.
    [[nodiscard]] bool may_be_at_work(std::uint64_t number) const;

    /// Takes one frame of the hand's parent. Returns the errno if it could not start a clerk, else 0. Errors: kClosed, kInvalid
    /// (unexpected frame), kLimit, kSystem.
    Result<int> hear_parent();
    /// The next report of a clerk, if there is one. A clerk whose report is due by `now_ns` is abandoned: it is killed, a file
    /// that it keeps is lost, and later frames are not read.
    std::optional<ClerkReport> hear_clerk(std::int64_t now_ns);
    /// When the first report is due.
    [[nodiscard]] std::optional<std::int64_t> first_due() const;

private:
    struct Clerk {
        std::uint64_t number = 0;
        UniqueFd socket;
        std::int64_t due_ns = 0;                                      // 0: idle
        bool keeps = false;                                           // a file
        ipc::FileOrder::OpCase at_work = ipc::FileOrder::OP_NOT_SET;  // its order, or the last one
        std::size_t most = 0;                                         // bytes that the order is about
        bool is_unwanted = false;  // close the file that it keeps, once its order is done
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
    std::set<std::uint64_t> killed_;  // not ended yet
    std::set<std::uint64_t> let_go_;  // idle and dismissed, not ended yet
    std::vector<UniqueFd> to_close_;
    bool is_coming_ = false;  // a clerk is being started
    std::uint64_t last_ = 0;
    ipc::Frame frame_;
    std::vector<UniqueFd> fds_;
    std::string bytes_;
};

}  // namespace sallyport::broker
