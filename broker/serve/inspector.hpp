// The broker's end of the conversations with the inspector and with its child. The broker has a child begun when a query needs one,
// asks it over a socket of its own, and has it killed when it is late or has lived for a second.
// Runs in:  broker, after lockdown()
// Input:    frames of a child, which a name that a user of the guest chose may have taken over
// INVARIANT: one query at a time. A child that is still at work is never asked again: it is killed, and another is begun.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <utility>

#include "base/result.hpp"
#include "base/unique_fd.hpp"
#include "ipc/inspector.pb.h"

namespace sallyport::broker {

class Inspector {
public:
    /// No inspector: the policy needs none.
    Inspector() = default;
    explicit Inspector(UniqueFd socket) : socket_(std::move(socket)) {}

    [[nodiscard]] FdRef socket() const { return socket_; }
    /// The child's socket; not open if there is no child.
    [[nodiscard]] FdRef child() const { return child_; }

    /// Asks the child, or a new one if it is at work, has lived long enough or has ended. Errors: kSystem, kClosed, kLimit.
    Status ask(const ipc::Query& query);
    [[nodiscard]] bool is_at_work() const { return is_at_work_; }
    /// Counts `size` more bytes of the reply. False if that is more than a reply may have.
    [[nodiscard]] bool counts(std::size_t size);
    /// Whether another child may answer: this one was asked before, and has said nothing about the present query.
    [[nodiscard]] bool may_pass_over() const { return is_at_work_ && queries_ > 1 && said_ == 0; }
    /// The query is answered.
    void set_free();
    /// Has the child killed, if there is one.
    void end_child();
    /// When the child must be killed.
    [[nodiscard]] std::optional<std::int64_t> due_ns() const;

private:
    Status begin_child();
    Status tell_child(const ipc::Query& query);

    UniqueFd socket_;
    UniqueFd child_;
    std::uint64_t number_ = 0;  // of the last child
    std::int64_t born_ns_ = 0;
    std::int64_t asked_ns_ = 0;
    std::uint64_t queries_ = 0;  // that it was asked
    std::size_t said_ = 0;
    bool is_at_work_ = false;
    std::string bytes_;  // used again
};

}  // namespace sallyport::broker
