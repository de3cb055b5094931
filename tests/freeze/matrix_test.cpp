// The fault matrix: each process, and each pair of processes, killed at each step of a freeze and a thaw. Generated: the
// steps are found while it runs, until there is none any more.
#include <algorithm>
#include <optional>

#include "tests/freeze/freezing.hpp"
#include "tests/freeze/tracer.hpp"

namespace sallyport::test {
namespace {

using Victim = Tracer::Victim;
using Victims = std::vector<Victim>;

constexpr std::array kAll{Victim::kBroker, Victim::kNursery, Victim::kWorker,
                          Victim::kGuard,  Victim::kFreezer, Victim::kSpare};
constexpr std::array kNames{"Broker", "Nursery", "Worker", "Guard", "Freezer", "Spare", "Planner"};
constexpr milliseconds kBound{1000};
constexpr int kMostSteps = 200;
constexpr std::int64_t kSystems = 2;

std::vector<Victims> each_and_each_pair() {
    std::vector<Victims> sets{{Victim::kPlanner}};  // nothing is frozen yet as long as it lives
    for (std::size_t one = 0; one < kAll.size(); ++one) {
        sets.push_back({kAll[one]});
        for (std::size_t other = one + 1; other < kAll.size(); ++other)
            sets.push_back({kAll[one], kAll[other]});
    }
    return sets;
}

std::string name_of_victims(const testing::TestParamInfo<Victims>& info) {
    std::string name;
    for (const Victim victim : info.param) name += kNames[static_cast<std::size_t>(victim)];
    return name;
}

class KilledAtEachStep : public testing::TestWithParam<Victims> {
protected:
    static void SetUpTestSuite() { systems_ = make_systems(kSystems); }
    static void TearDownTestSuite() { systems_.clear(); }

    /// Whether there is such a step.
    static bool run_step(int step, const Victims& victims);
    static void expect_usable(Agent& agent);

    static std::vector<std::unique_ptr<LoopFs>> systems_;
};
std::vector<std::unique_ptr<LoopFs>> KilledAtEachStep::systems_;

INSTANTIATE_TEST_SUITE_P(, KilledAtEachStep, testing::ValuesIn(each_and_each_pair()), name_of_victims);

void KilledAtEachStep::expect_usable(Agent& agent) {
    // The service manager's part.
    if (eventually([&] { return agent.broker().has_ended(); }, milliseconds(300))) agent.restart();
    ASSERT_TRUE(agent.is_serving()) << agent.messages();
    HostClient host = agent.connect();
    host.ask_all("\xff");
    if (status(host) == "frozen") thaw(host);
    EXPECT_EQ(freeze(host), kSystems);
    EXPECT_EQ(thaw(host), kSystems);
    EXPECT_EQ(status(host), "thawed");
}

bool KilledAtEachStep::run_step(int step, const Victims& victims) {
    Agent agent({.policy = freeze_policy()});
    if (!agent.is_serving()) throw std::runtime_error(agent.messages());
    std::optional<HostClient> host(agent.connect());
    EXPECT_EQ(status(*host), "thawed");
    Tracer tracer({.guard = guard_of(agent),
                   .step = step,
                   .victims = victims,
                   .known = {agent.broker().pid(), agent.nursery(), agent.worker()}});
    EXPECT_TRUE(tracer.is_ready());
    // The thaw is ordered while the freeze may still be under way; whichever step is reached first counts.
    try {
        host->send(command("guest-fsfreeze-freeze") + command("guest-fsfreeze-thaw"));
        if (tracer.is_waiting()) host->line();
        if (tracer.is_waiting()) host->line();
    } catch (const std::runtime_error&) {
        // The agent is gone, as it may be.
    }
    host.reset();
    if (!tracer.has_killed(milliseconds(300))) return false;
    const Deadline deadline(kBound);
    if (tracer.has_killed_more_than_a_worker()) {
        const auto family = tracer.family();
        EXPECT_TRUE(eventually([&] { return std::ranges::none_of(family, is_running); }, kBound));
        EXPECT_TRUE(all_are_writable(systems_, milliseconds(std::max(1, deadline.left_ms()))));
    }
    expect_usable(agent);
    EXPECT_TRUE(all_are_writable(systems_));
    return true;
}

TEST_P(KilledAtEachStep, AllIsThawedWithinASecondAndTheServiceIsUsableAgain) {
    int step = 0;
    while (step < kMostSteps && run_step(step, GetParam()) && !HasFailure()) ++step;
    SCOPED_TRACE("step " + std::to_string(step));
    EXPECT_FALSE(HasFailure()) << "at step " << step;
    EXPECT_GE(step, 12) << "too few steps were found";
    RecordProperty("steps", step);
}

}  // namespace
}  // namespace sallyport::test
