// Runs in:  broker, after lockdown()
#include "broker/serve/under_way.hpp"

#include <algorithm>

namespace sallyport::broker {

WorkerPhase phase_of(const Session& session) {
    const WorkerState& worker = session.worker;
    if (!worker.has_greeted) return WorkerPhase::kGreeting;
    if (worker.read) return WorkerPhase::kReading;
    if (worker.write) return WorkerPhase::kWriting;
    if (worker.query || worker.result) return WorkerPhase::kInspecting;
    bool waits = false;
    each_under_way(session,
                   [&](const auto& place) { waits = waits || place->request.worker() == worker.number; });
    return waits ? WorkerPhase::kWaiting : WorkerPhase::kIdle;
}

std::optional<std::int64_t> first_due(const Session& session) {
    std::optional<std::int64_t> first;
    each_under_way(session, [&](const auto& place) {
        const std::int64_t due = place->request.due_ns;
        if (due != 0) first = std::min(due, first.value_or(due));
    });
    return first;
}

bool is_late(const Request& request, std::int64_t now_ns) {
    return request.due_ns != 0 && now_ns >= request.due_ns;
}

void forget_worker(Session& session, Audit& audit) {
    const auto abandon = [&](auto& place) {
        if (place) take_back(place).abandon(audit, "the worker ended");
    };
    take_unheard(session, audit);
    abandon(session.worker.read);
    abandon(session.worker.write);
    abandon(session.worker.query);
    abandon(session.worker.result);
    abandon(session.worker.status);
    session.worker = {};
}

void abandon_all(Session& session, Audit& audit) {
    take_unheard(session, audit);
    each_under_way(session, [&](auto& place) { take_back(place).abandon(audit, "the agent ended"); });
}

}  // namespace sallyport::broker
