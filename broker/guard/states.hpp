// The states of a file system and of the guard, as two tables: from each state, by each event, to the next.
// Runs in:  guard and its children
//
// INVARIANT: a state changes only by a row of these tables. A process that thaws first sets Shared::is_over and then looks for
// kFreezing; one that freezes first writes kFreezing and then looks at is_over. So one of them sees the other.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <optional>

namespace sallyport::guard {

/// The state of one file system, in memory that the guard and its children share.
enum class State : std::uint32_t {
    kUntouched,
    kSyncing,
    kSynced,
    kFreezing,
    kFrozen,
    kThawing,
    kThawFailed,
    kThawed,
    kThawedByOthers,  // or it turned out never to have been frozen
    kUnsupported,     // it cannot be frozen
    kAlreadyFrozen,   // by somebody else, who has to thaw it
    kFreezeFailed,
};
inline constexpr std::size_t kStates = 12;

enum class Event : std::uint32_t {
    kTakeOver,  // an earlier run may have frozen the file system
    kSyncBegins,
    kSyncEnds,
    kFreezeBegins,
    kFreezeCalledOff,    // the thaw was ordered before FIFREEZE was called
    kFreezeDone,         // FIFREEZE: 0
    kFreezeUnsupported,  // EOPNOTSUPP, ENOTTY
    kFreezeBusy,         // EBUSY, and the policy does not count it as a failure
    kFreezeRefused,      // another error
    kFreezerLost,        // the freezer was killed before it reached this one
    kFreezeUndone,       // the freezer was killed in FIFREEZE; what it may have frozen is thawed
    kThawBegins,
    kThawTakenUp,      // the process that froze it is gone, or the one that thawed it failed
    kThawDone,         // FITHAW: 0
    kThawNotFrozen,    // FITHAW: EINVAL
    kThawDoneByOther,  // EINVAL as well, but another child had begun to thaw
    kThawRefused,      // another error
};
inline constexpr std::size_t kEvents = 17;

/// The state of the guard itself.
enum class Phase : std::uint8_t { kIdle, kFreezing, kFrozen, kThawing };
inline constexpr std::size_t kPhases = 4;

enum class Turn : std::uint8_t { kFreezeOrdered, kTakenOver, kFrozen, kNothingFrozen, kThaw, kAllThawed };
inline constexpr std::size_t kTurns = 6;

template <typename From, typename By>
struct Transition {
    From from;
    By event;
    From to;
    const char* who;
    const char* why;
};

// clang-format off
inline constexpr std::array kStateTable{
    //         from                    event                      to                      who         why
    Transition{State::kUntouched,      Event::kTakeOver,          State::kFrozen,         "guard",    "the mark says that something may be frozen, not what"},

    Transition{State::kUntouched,      Event::kSyncBegins,        State::kSyncing,        "syncer",   "what is written out before is not written while frozen"},
    Transition{State::kSynced,         Event::kSyncBegins,        State::kSyncing,        "syncer",   "another pass, since the last took long"},
    Transition{State::kSyncing,        Event::kSyncBegins,        State::kSyncing,        "syncer",   "the syncer of the last pass was killed"},
    Transition{State::kSyncing,        Event::kSyncEnds,          State::kSynced,         "syncer",   "written out, or not: the freeze finds the rest"},

    Transition{State::kSynced,         Event::kFreezeBegins,      State::kFreezing,       "freezer",  "all are written out"},
    Transition{State::kSyncing,        Event::kFreezeBegins,      State::kFreezing,       "freezer",  "its syncer was killed"},
    Transition{State::kUntouched,      Event::kFreezeBegins,      State::kFreezing,       "freezer",  "every syncer was killed"},
    Transition{State::kFreezing,       Event::kFreezeCalledOff,   State::kSynced,         "freezer",  "FIFREEZE was not called"},
    Transition{State::kFreezing,       Event::kFreezeDone,        State::kFrozen,         "freezer",  "it is ours to thaw"},
    Transition{State::kFreezing,       Event::kFreezeUnsupported, State::kUnsupported,    "freezer",  "the others are frozen all the same"},
    Transition{State::kFreezing,       Event::kFreezeBusy,        State::kAlreadyFrozen,  "freezer",  "somebody else thaws it"},
    Transition{State::kFreezing,       Event::kFreezeRefused,     State::kFreezeFailed,   "freezer",  "the freeze fails and all is thawed"},
    Transition{State::kUntouched,      Event::kFreezerLost,       State::kFreezeFailed,   "freezer",  "nobody is left to freeze it: the freeze fails"},
    Transition{State::kSyncing,        Event::kFreezerLost,       State::kFreezeFailed,   "freezer",  "the same"},
    Transition{State::kSynced,         Event::kFreezerLost,       State::kFreezeFailed,   "freezer",  "the same"},

    Transition{State::kFrozen,         Event::kThawBegins,        State::kThawing,        "any",      "order, deadline, or the death of somebody"},
    Transition{State::kFreezing,       Event::kThawTakenUp,       State::kThawing,        "any",      "nobody lives who could be freezing it: killed before or after"},
    Transition{State::kThawFailed,     Event::kThawTakenUp,       State::kThawing,        "any",      "again, until it works"},

    Transition{State::kThawing,        Event::kThawDone,          State::kThawed,         "any",      "FITHAW says so"},
    Transition{State::kThawFailed,     Event::kThawDone,          State::kThawed,         "any",      "one of two that thawed it could"},
    Transition{State::kThawedByOthers, Event::kThawDone,          State::kThawed,         "any",      "the other was one of us"},
    Transition{State::kThawing,        Event::kThawNotFrozen,     State::kThawedByOthers, "any",      "an admin thawed it, or the freezer had not frozen it yet"},
    Transition{State::kThawing,        Event::kThawDoneByOther,   State::kThawed,         "any",      "whoever had begun did it, and may have died before it was written here"},
    Transition{State::kThawing,        Event::kThawRefused,       State::kThawFailed,     "any",      "still frozen; the broker is told"},
    Transition{State::kThawing,        Event::kFreezeUndone,      State::kFreezeFailed,   "freezer",  "whoever froze it was killed; the freeze fails and all is thawed"},
};

inline constexpr std::array kPhaseTable{
    //         from              event                 to                who        why
    Transition{Phase::kIdle,     Turn::kFreezeOrdered, Phase::kFreezing, "broker",  "a row of the policy"},
    Transition{Phase::kIdle,     Turn::kTakenOver,     Phase::kFrozen,   "starter", "the mark of an earlier run"},
    Transition{Phase::kFreezing, Turn::kFrozen,        Phase::kFrozen,   "freezer", "the last file system is frozen"},
    Transition{Phase::kFreezing, Turn::kNothingFrozen, Phase::kIdle,     "freezer", "none could be frozen, or all were already"},
    Transition{Phase::kFreezing, Turn::kThaw,          Phase::kThawing,  "any",     "it failed or took too long, was called off, or somebody died"},
    Transition{Phase::kFrozen,   Turn::kThaw,          Phase::kThawing,  "any",     "order, deadline, or the death of somebody"},
    Transition{Phase::kThawing,  Turn::kThaw,          Phase::kThawing,  "broker",  "ordered again: it may take its time again"},
    Transition{Phase::kThawing,  Turn::kAllThawed,     Phase::kIdle,     "guard",   "nothing is left"},
};
// clang-format on

/// The state after `event` in state `from`; nothing if there is no row.
template <typename Table, typename From, typename By>
constexpr std::optional<From> next(const Table& table, From from, By event) {
    for (const auto& row : table)
        if (row.from == from && row.event == event) return row.to;
    return std::nullopt;
}

/// Changes the state as the table says, even if another process changes it at the same time. False if there is no row; then
/// nothing is changed.
inline bool advance(std::atomic<State>& state, Event event) {
    State from = state;
    for (auto to = next(kStateTable, from, event); to; to = next(kStateTable, from, event))
        if (state.compare_exchange_strong(from, *to)) return true;
    return false;
}

/// Whether we may have frozen it and not thawed it yet.
constexpr bool may_be_frozen(State state) {
    return state == State::kFreezing || state == State::kFrozen || state == State::kThawing ||
           state == State::kThawFailed;
}

}  // namespace sallyport::guard
