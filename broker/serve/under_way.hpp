// All requests that were taken and have not ended yet: where they wait, and what follows from it.
// Runs in:  broker, after lockdown()
#pragma once

#include <initializer_list>

#include "broker/serve/session.hpp"

namespace sallyport::broker {

/// Calls `see` with each slot in which a request waits: a std::optional with a member `request`. INVARIANT: every slot for a
/// request is listed here.
template <typename AnySession, typename See>
void each_under_way(AnySession& session, See see) {
    const auto look = [&](auto& place) {
        if (place) see(place);
    };
    look(session.worker.read);
    look(session.worker.write);
    look(session.worker.query);
    look(session.worker.result);
    look(session.worker.status);
    look(session.freezing.freeze);
    look(session.freezing.trim);
    look(session.freezing.thaw);
    look(session.launch);
    look(session.programs.start);
    look(session.accounts.work);
    look(session.settings.under_way);
    for (auto& work : session.file_work) look(work);
}

/// The state of the current worker. The dispatch table says which operations each state allows.
enum class WorkerPhase : std::uint8_t {
    kGreeting,  // before Hello
    kIdle,
    kReading,     // a file read, or a long reply, is being sent in parts
    kWriting,     // a file write is being received in parts
    kWaiting,     // for the guard, for the launcher to have started something, or for a program's end
    kInspecting,  // for the inspector, or for a program's output
};
WorkerPhase phase_of(const Session& session);

class WorkerPhases {
public:
    constexpr WorkerPhases(std::initializer_list<WorkerPhase> phases) {
        for (const WorkerPhase phase : phases) bits_ |= bit(phase);
    }
    [[nodiscard]] constexpr bool has(WorkerPhase phase) const { return (bits_ & bit(phase)) != 0; }

private:
    static constexpr unsigned bit(WorkerPhase phase) { return 1U << static_cast<unsigned>(phase); }
    unsigned bits_ = 0;
};

/// The earliest deadline of all requests under way, if any has one.
std::optional<std::int64_t> first_due(const Session& session);
bool is_late(const Request& request, std::int64_t now_ns);

/// The current worker gets nothing any more: abandons the requests that end with it, and forgets it. Requests to guard and
/// launcher continue.
void forget_worker(Session& session, Audit& audit);

/// The agent ends: abandons everything.
void abandon_all(Session& session, Audit& audit);

}  // namespace sallyport::broker
