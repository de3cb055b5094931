// One request of a worker, from arrival to end: what it asks, its line in the log, and where its reply goes.
// Runs in:  broker, after lockdown()
// INVARIANT: whoever holds a request ends it exactly once. A request that would end twice, or never, aborts the broker.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <variant>

#include "base/result.hpp"
#include "base/unique_fd.hpp"
#include "broker/serve/audit.hpp"
#include "ipc/broker.pb.h"
#include "policy/decide.hpp"

namespace sallyport::broker {

struct Session;

/// What every action for a worker needs.
struct Context {
    Session& session;
    Audit& audit;
    const UniqueFd& worker;  // the current worker's socket; closed: there is no one to tell
    std::string& bytes;      // reused for each frame

    /// Sends a frame to the current worker. A worker that has ended meanwhile gets nothing; that is not a violation. One that
    /// does not read is noted as deaf, and the loop ends it.
    void tell(const ipc::Reply& reply) const;
};

/// The request was carried out.
using Reply = ipc::Reply;
/// The request is refused or has failed; the host is told.
struct Refusal {
    ipc::Reason reason = ipc::UNSPECIFIED;
    int sys_errno = 0;
    const char* why = "";
    std::string mount = {};  // the file system at fault
    int exit_status = 0;     // of a program
    ipc::PowerMethod method = ipc::ANY_METHOD;
    std::string file = {};    // of a user, that it is about
    std::string denial = {};  // identity of a line that is written already
};
/// The worker broke the contract. It is ended; only the admin is told.
struct Violation {
    const char* what = "";
};
/// Somebody else has taken the request and will end it.
struct Later {};

using Answer = std::variant<Reply, Refusal, Violation, Later>;

/// Something that must be done exactly once, by the holder of this object.
class Duty {
public:
    Duty() = default;
    Duty(Duty&& other) noexcept : is_open_(std::exchange(other.is_open_, false)) {}
    Duty& operator=(Duty&& other) noexcept {
        SALLYPORT_CHECK(!is_open_);
        is_open_ = std::exchange(other.is_open_, false);
        return *this;
    }
    ~Duty() { SALLYPORT_CHECK(!is_open_); }
    [[nodiscard]] bool is_open() const { return is_open_; }
    void close() { SALLYPORT_CHECK(std::exchange(is_open_, false)); }

private:
    bool is_open_ = true;
};

class Request {
public:
    /// Which worker asked, and for what.
    struct Origin {
        std::uint64_t worker = 0;  // number of the worker
        std::uint64_t seq = 0;
        ipc::Request::CommandCase op = ipc::Request::COMMAND_NOT_SET;
        std::optional<CommandId> command;  // none: the report of a refusal by the worker itself
    };
    /// Starts its time now. `name` is what the log calls it.
    Request(const Origin& origin, std::string_view name);

    [[nodiscard]] std::uint64_t worker() const { return origin_.worker; }
    [[nodiscard]] std::uint64_t seq() const { return origin_.seq; }
    [[nodiscard]] ipc::Request::CommandCase op() const { return origin_.op; }
    [[nodiscard]] std::optional<CommandId> command() const { return origin_.command; }
    /// Whether this object still has to end the request, which has neither been ended nor moved away.
    [[nodiscard]] bool is_open() const { return duty_.is_open(); }

    // Each ending writes the line, then answers the worker if it still lives.

    /// The request was carried out.
    void complete(const Context& context, Reply reply);
    /// The request is refused or has failed. If the policy refused it, the reply has the identity of the line.
    void refuse(const Context& context, const Refusal& refusal);
    /// Nobody waits any more, so there is no reply.
    void abandon(Audit& audit, const char* why);
    /// The frame broke the contract: no reply, and no line besides that of the violation.
    void annul() { duty_.close(); }

    /// Writes the line now, as if the request had been carried out. Its ending then writes none.
    void write_ahead(Audit& audit) { write_line(audit); }

    std::size_t rule = policy::kNoRule;  // the rule that allowed it
    std::int64_t due_ns = 0;             // CLOCK_BOOTTIME: the deadline of what it waits for; 0: none
    Record record;

private:
    std::string write_line(Audit& audit);
    void answer(const Context& context, Reply& reply) const;
    Origin origin_;
    Duty duty_;
    bool has_line_ = false;
};

/// Takes a request out of the slot where it waits, to end it. The rest of the slot is dropped.
template <typename Waiting>
Request take_back(std::optional<Waiting>& slot) {
    Request request = std::move(slot->request);
    slot.reset();
    return request;
}

}  // namespace sallyport::broker
