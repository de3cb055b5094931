// The tables of the guard's states, walked from every state by every event.
#include "broker/guard/states.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <initializer_list>
#include <set>
#include <string>
#include <utility>

namespace sallyport::guard {
namespace {

constexpr State state_at(std::size_t at) {
    return static_cast<State>(at);
}
constexpr Event event_at(std::size_t at) {
    return static_cast<Event>(at);
}

// Written once more, by what the kernel and the processes can do, and not by the rows.
constexpr std::array kEndStates{State::kThawed, State::kUnsupported, State::kAlreadyFrozen,
                                State::kFreezeFailed};

std::string label(auto from, auto event) {
    return "from " + std::to_string(static_cast<unsigned>(from)) + " by " +
           std::to_string(static_cast<unsigned>(event));
}

template <typename Table>
void expect_one_row_each_with_reason(const Table& table, std::size_t states, std::size_t events) {
    std::set<std::pair<std::size_t, std::size_t>> seen;
    for (const auto& row : table) {
        const auto from = static_cast<std::size_t>(row.from);
        const auto event = static_cast<std::size_t>(row.event);
        EXPECT_TRUE(seen.emplace(from, event).second) << label(row.from, row.event) << " stands there twice";
        EXPECT_LT(from, states);
        EXPECT_LT(event, events);
        EXPECT_LT(static_cast<std::size_t>(row.to), states);
        EXPECT_FALSE(std::string(row.who).empty() || std::string(row.why).empty());
    }
    const auto of = [&](auto member) {
        std::set<std::size_t> all;
        for (const auto& row : table) all.insert(static_cast<std::size_t>(row.*member));
        return all;
    };
    using Row = typename Table::value_type;
    EXPECT_EQ(of(&Row::event).size(), events) << "an event leads nowhere";
    std::set<std::size_t> named = of(&Row::from);
    named.merge(of(&Row::to));
    EXPECT_EQ(named.size(), states) << "a state is never reached";
}

TEST(GuardStates, HaveOneRowForAStateAndAnEventWithItsReason) {
    expect_one_row_each_with_reason(kStateTable, kStates, kEvents);
    expect_one_row_each_with_reason(kPhaseTable, kPhases, kTurns);
}

TEST(GuardStates, ChangeWhereTheRowSaysAndNotAtAllWithoutOne) {
    for (std::size_t at = 0; at < kStates; ++at) {
        for (std::size_t by = 0; by < kEvents; ++by) {
            const auto row = std::ranges::find_if(kStateTable, [&](const auto& one) {
                return one.from == state_at(at) && one.event == event_at(by);
            });
            const bool is_there = row != kStateTable.end();
            std::atomic<State> state = state_at(at);
            EXPECT_EQ(advance(state, event_at(by)), is_there) << label(state_at(at), event_at(by));
            EXPECT_EQ(state, is_there ? row->to : state_at(at)) << label(state_at(at), event_at(by));
        }
    }
}

// As thaw_pass() goes: what may be frozen is claimed, then FITHAW has one of its answers.
TEST(GuardStates, AreAllThawedByAThawThatTheKernelCarriesOut) {
    for (std::size_t at = 0; at < kStates; ++at) {
        for (const Event answer : {Event::kThawDone, Event::kThawNotFrozen, Event::kThawDoneByOther}) {
            std::atomic<State> state = state_at(at);
            advance(state, Event::kThawBegins) || advance(state, Event::kThawTakenUp);
            if (state == State::kThawing) {
                EXPECT_TRUE(advance(state, answer)) << label(state_at(at), answer);
                EXPECT_TRUE(state == State::kThawed || state == State::kThawedByOthers);
            }
            EXPECT_FALSE(may_be_frozen(state)) << label(state_at(at), answer);
        }
    }
}

TEST(GuardStates, LetAThawThatTheKernelRefusesBeTriedAgain) {
    std::atomic<State> state = State::kFrozen;
    EXPECT_TRUE(advance(state, Event::kThawBegins));
    for (int tries = 0; tries < 3; ++tries) {
        EXPECT_TRUE(advance(state, Event::kThawRefused));
        EXPECT_TRUE(may_be_frozen(state));
        EXPECT_TRUE(advance(state, Event::kThawTakenUp));
    }
    EXPECT_TRUE(advance(state, Event::kThawDone));
    EXPECT_EQ(state, State::kThawed);
}

TEST(GuardStates, BecomeFrozenByAFreezeOrATakeOverOnly) {
    for (const auto& row : kStateTable) {
        if (!may_be_frozen(row.to) || may_be_frozen(row.from)) continue;
        EXPECT_TRUE(row.event == Event::kFreezeBegins || row.event == Event::kTakeOver)
            << label(row.from, row.event);
        EXPECT_TRUE(row.from == State::kUntouched || row.from == State::kSyncing ||
                    row.from == State::kSynced)
            << label(row.from, row.event);
    }
}

// FITHAW has answered 0 or EINVAL, FIFREEZE an error, or FIFREEZE was not called.
TEST(GuardStates, CeaseToBeFrozenByAnAnswerOfTheKernelOnly) {
    constexpr std::array kAnswers{Event::kFreezeCalledOff, Event::kFreezeUnsupported, Event::kFreezeBusy,
                                  Event::kFreezeRefused,   Event::kFreezeUndone,      Event::kThawDone,
                                  Event::kThawNotFrozen,   Event::kThawDoneByOther};
    for (const auto& row : kStateTable) {
        if (!may_be_frozen(row.from) || may_be_frozen(row.to)) continue;
        EXPECT_NE(std::ranges::find(kAnswers, row.event), kAnswers.end()) << label(row.from, row.event);
    }
}

TEST(GuardStates, AreLeftByARowUnlessTheyAreTheEnd) {
    for (std::size_t at = 0; at < kStates; ++at) {
        const bool is_end = std::ranges::find(kEndStates, state_at(at)) != kEndStates.end();
        const bool is_left = std::ranges::any_of(
            kStateTable, [&](const auto& row) { return row.from == state_at(at) && row.to != row.from; });
        EXPECT_EQ(is_left, !is_end) << at;
    }
}

TEST(GuardPhases, AllEndIdleByAThaw) {
    for (std::size_t at = 0; at < kPhases; ++at) {
        const auto phase = static_cast<Phase>(at);
        const auto thawing = next(kPhaseTable, phase, Turn::kThaw);
        EXPECT_EQ(thawing.has_value(), phase != Phase::kIdle);
        if (!thawing) continue;
        EXPECT_EQ(next(kPhaseTable, *thawing, Turn::kAllThawed), Phase::kIdle);
    }
}

TEST(GuardPhases, BeginAFreezeOnlyWhenIdle) {
    for (std::size_t at = 0; at < kPhases; ++at)
        for (const Turn turn : {Turn::kFreezeOrdered, Turn::kTakenOver})
            EXPECT_EQ(next(kPhaseTable, static_cast<Phase>(at), turn).has_value(),
                      static_cast<Phase>(at) == Phase::kIdle);
}

}  // namespace
}  // namespace sallyport::guard
