// One request of a worker, from its arrival to its end: what it is, its line in the log, and whom to answer.
// Runs in:  broker, after lockdown()
// INVARIANT: whoever holds a request ends it, once. One that would end twice, or vanish, aborts the broker.
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

/// What everything that is done for a worker needs.
struct Context {
    Session& session;
    Audit& audit;
    const UniqueFd& worker;  // the present worker's socket; not open: nobody is told
    std::string& bytes;      // used again for each frame

    /// Gives a frame to the present worker. One that has ended meanwhile gets nothing; that is no violation. One that does not read
    /// is noted as deaf, and is ended by the loop.
    void tell(const ipc::Reply& reply) const;
};

/// It was carried out.
using Reply = ipc::Reply;
/// It is refused or has failed; the host is told.
struct Refusal {
    ipc::Reason reason = ipc::UNSPECIFIED;
    int sys_errno = 0;
    const char* why = "";
    std::string mount = {};  // the file system that it is about
    int exit_status = 0;     // of a program
    ipc::PowerMethod method = ipc::ANY_METHOD;
    std::string file = {};  // of a user, that it is about
    std::string denial = {};  // identity of a line that is written already
};
/// The worker broke the contract; it is ended and nobody is told but the admin.
struct Violation {
    const char* what = "";
};
/// Somebody has taken the request, and ends it.
struct Later {};

using Answer = std::variant<Reply, Refusal, Violation, Later>;

/// Something that is to be done once, by whoever holds this.
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
    /// Whose it is and what it asks for.
    struct Origin {
        std::uint64_t worker = 0;  // number of the worker
        std::uint64_t seq = 0;
        ipc::Request::CommandCase op = ipc::Request::COMMAND_NOT_SET;
        std::optional<CommandId> command;  // none: a worker's refusal that it reports
    };
    /// Begins now. `name` is what the log calls it.
    Request(const Origin& origin, std::string_view name);

    [[nodiscard]] std::uint64_t worker() const { return origin_.worker; }
    [[nodiscard]] std::uint64_t seq() const { return origin_.seq; }
    [[nodiscard]] ipc::Request::CommandCase op() const { return origin_.op; }
    [[nodiscard]] std::optional<CommandId> command() const { return origin_.command; }
    /// Whether this object still has to end it; not so if it was ended or taken from here.
    [[nodiscard]] bool is_open() const { return duty_.is_open(); }

    // Each ending writes the line, and then tells the worker if that is still the one that asked.

    /// It was carried out.
    void complete(const Context& context, Reply reply);
    /// It is refused or has failed. The reply has the identity of the line if the policy refused it.
    void refuse(const Context& context, const Refusal& refusal);
    /// Nobody waits any more: there is no reply.
    void abandon(Audit& audit, const char* why);
    /// Its frame broke the contract: it has neither reply nor line, since the violation has one.
    void annul() { duty_.close(); }

    /// Writes the line now, as that of a request that is carried out. The ending writes none.
    void write_ahead(Audit& audit) { write_line(audit); }

    std::size_t rule = policy::kNoRule;  // that allowed it
    std::int64_t due_ns = 0;             // CLOCK_BOOTTIME: the deadline of what it waits for; 0: none
    Record record;

private:
    std::string write_line(Audit& audit);
    void answer(const Context& context, Reply& reply) const;
    Origin origin_;
    Duty duty_;
    bool has_line_ = false;
};

/// Takes a request back from where it has waited, to end it; what it waited with is forgotten.
template <typename Waiting>
Request take_back(std::optional<Waiting>& slot) {
    Request request = std::move(slot->request);
    slot.reset();
    return request;
}

}  // namespace sallyport::broker
