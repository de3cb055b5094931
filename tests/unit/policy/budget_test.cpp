// Budgets: how they are written, what is reckoned with, and how two are compared.
#include "policy/budget.hpp"

#include <gtest/gtest.h>

#include "policy/tool/analyse/decider.hpp"
#include "policy/tool/analyse/diff.hpp"
#include "policy/tool/compile/compile.hpp"
#include "policy/tool/compile/effective.hpp"
#include "tests/unit/policy/random_policy.hpp"

namespace sallyport::policy {
namespace {

constexpr std::int64_t kSecond = 1'000'000'000;
constexpr std::int64_t kHour = 3600 * kSecond;
constexpr Flow kFourAnHour{.amount = 4, .burst = 2, .per_ns = kHour};

const std::string kTime = "[[allow]]\nid = \"a\"\ncommands = [\"guest-get-time\"]\n";
const std::string kFiles =
    "[[allow]]\nid = \"a\"\ncommands = [\"@file\"]\nfiles = [{ under = \"/a\", access = [\"read\"] }]\n";

std::expected<compile::Compilation, std::string> compiled(const std::string& rules) {
    const std::string text = "schema = 1\n" + rules;
    return compile::compile_with_nevers(
        {.text = text, .name = "p", .passwd = random::kPasswd, .zones = random::zone_file});
}

std::string errors_of(const std::string& rules) {
    const auto result = compiled(rules);
    return result ? "" : result.error();
}

Policy with(const std::string& rules) {
    auto policy = random::compiled("schema = 1\n" + rules);
    EXPECT_TRUE(policy) << errors_of(rules);
    return policy ? *std::move(policy) : Policy();
}

TEST(Flow, ABucketIsEmptyAtBootAndFillsEvenlyUpToItsBurst) {
    const std::int64_t due = full_after(kFourAnHour);
    EXPECT_EQ(due, kHour / 2);
    EXPECT_EQ(left(kFourAnHour, due, 0), 0U);
    EXPECT_EQ(left(kFourAnHour, due, kHour / 4 - 1), 0U);
    EXPECT_EQ(left(kFourAnHour, due, kHour / 4), 1U);
    EXPECT_EQ(left(kFourAnHour, due, kHour / 2), 2U);
    EXPECT_EQ(left(kFourAnHour, due, 100 * kHour), 2U) << "and no further";
}

TEST(Flow, WhatIsTakenFlowsBack) {
    std::int64_t due = full_after(kFourAnHour);
    const std::int64_t now = 10 * kHour;
    due = due_after(kFourAnHour, due, now, 1);
    EXPECT_EQ(left(kFourAnHour, due, now), 1U);
    due = due_after(kFourAnHour, due, now, 1);
    EXPECT_EQ(left(kFourAnHour, due, now), 0U);
    EXPECT_EQ(left(kFourAnHour, due, now + kHour / 4 - 1), 0U);
    EXPECT_EQ(left(kFourAnHour, due, now + kHour / 4), 1U);
    due = due_after(kFourAnHour, due, now, 4);
    EXPECT_EQ(left(kFourAnHour, due, now + kHour), 0U) << "a debt is paid first";
    EXPECT_EQ(left(kFourAnHour, due, now + kHour + kHour / 4), 1U);
}

Flow random_flow(random::Source& source) {
    for (;;) {
        const Flow flow{.amount = 1 + source.below(1000),
                        .burst = 1 + source.below(50),
                        .per_ns = static_cast<std::int64_t>(1 + source.below(1'000'000'000))};
        if (is_flow(flow)) return flow;
    }
}

/// How much is flowing in while `ns` pass, at the most.
std::uint64_t flown(const Flow& flow, std::int64_t ns) {
    __extension__ using Wide = unsigned __int128;
    return static_cast<std::uint64_t>(Wide{static_cast<std::uint64_t>(ns)} * flow.amount /
                                      static_cast<std::uint64_t>(flow.per_ns));
}

TEST(Flow, BetweenAnyTwoMomentsNoMoreIsTakenThanTheBurstAndWhatFlowsIn) {
    random::Source source(7);
    struct Taken {
        std::int64_t at;
        std::uint64_t before;  // all that was taken until then
    };
    for (int number = 0; number < 300; ++number) {
        const Flow flow = random_flow(source);
        std::int64_t due = source.below(2) == 0 ? 0 : full_after(flow), now = 0;
        std::uint64_t taken = 0;
        std::vector<Taken> moments;
        for (int step = 0; step < 100; ++step) {
            now += static_cast<std::int64_t>(source.below(static_cast<std::size_t>(flow.per_ns / 20) + 2));
            moments.push_back({.at = now, .before = taken});
            const std::uint64_t there = left(flow, due, now);
            const std::uint64_t want = source.below(3) == 0 ? there : source.below(there + 1);
            due = due_after(flow, due, now, want);
            taken += want;
            for (const Taken& one : moments)
                ASSERT_LE(taken - one.before, flow.burst + flown(flow, now - one.at + 2))
                    << flow.amount << "/" << flow.per_ns << " burst " << flow.burst;
        }
    }
}

TEST(Flow, WhoTakesAllThatIsThereGetsAllThatFlowsIn) {
    random::Source source(8);
    for (int number = 0; number < 300; ++number) {
        Flow flow = random_flow(source);
        ++flow.burst;  // so that it is never full
        std::int64_t due = full_after(flow), now = 0;
        std::uint64_t taken = 0, takes = 0;
        while (now < 20 * flow.per_ns) {
            now += static_cast<std::int64_t>(
                source.below(static_cast<std::size_t>(full_after(flow)) / 2 + 1) + 1);
            const std::uint64_t there = left(flow, due, now);
            due = due_after(flow, due, now, there);
            taken += there;
            takes += there != 0 ? 1 : 0;
        }
        // Each take is rounded up to a nanosecond, and what is less than one is still to come.
        EXPECT_GE(taken + flown(flow, static_cast<std::int64_t>(takes)) + 2, flown(flow, now))
            << flow.amount << "/" << flow.per_ns << " burst " << flow.burst;
    }
}

TEST(Flow, NumbersThatCannotBeReckonedWithAreNone) {
    const auto longest = static_cast<std::uint64_t>(24 * kHour);
    const Flow day{.amount = longest, .burst = longest, .per_ns = 24 * kHour};
    ASSERT_TRUE(is_flow(day));
    EXPECT_EQ(left(day, 0, kSecond), day.burst);
    EXPECT_EQ(left(day, due_after(day, 0, kSecond, day.burst), kSecond), 0U);
    EXPECT_EQ(left(day, due_after(day, 0, kSecond, UINT64_MAX), kSecond + 365 * 24 * kHour), 0U);
    EXPECT_EQ(left(day, INT64_MAX, 0), 0U);
    EXPECT_EQ(left(day, INT64_MIN, INT64_MAX), day.burst);
    EXPECT_FALSE(is_flow({.amount = longest + 1, .burst = 1, .per_ns = 24 * kHour})) << "two in a nanosecond";
    EXPECT_FALSE(is_flow({.amount = 1, .burst = 367, .per_ns = 24 * kHour})) << "longer than a year";
    EXPECT_TRUE(is_flow({.amount = 1, .burst = 366, .per_ns = 24 * kHour}));
    EXPECT_FALSE(is_flow({.amount = 1, .burst = UINT64_MAX, .per_ns = INT64_MAX}));
    EXPECT_FALSE(is_flow({.amount = 1, .burst = 0, .per_ns = 1}));
    EXPECT_FALSE(is_flow({.amount = 0, .burst = 1, .per_ns = 0}));
    EXPECT_FALSE(is_flow({.amount = 1, .burst = 1, .per_ns = 0}));
    EXPECT_FALSE(is_flow({.amount = 1, .burst = 1, .per_ns = -1}));
}

TEST(Budget, IsReadFromItsText) {
    const Policy policy = with(kFiles + "rate = \"4/h burst 2\"\nbytes = \"1GiB/day\"\nconcurrent = 3\n");
    const Budget& budget = policy.rules[0].budget;
    EXPECT_EQ(budget.rate, kFourAnHour);
    EXPECT_EQ(budget.bytes, (Flow{.amount = 1U << 30U, .burst = 1U << 30U, .per_ns = 24 * kHour}));
    EXPECT_EQ(budget.concurrent, 3U);
    EXPECT_EQ(with(kTime + "rate = \"10/min\"\n").rules[0].budget.rate,
              (Flow{.amount = 10, .burst = 10, .per_ns = 60 * kSecond}));
    const auto all = buckets(policy);
    ASSERT_EQ(all.size(), 2U);
    EXPECT_EQ(all[0].of, Bucket::Of::kRequests);
    EXPECT_EQ(all[1].of, Bucket::Of::kBytes);
}

TEST(Budget, MistakesAreNamed) {
    const std::string rate = "'rate' must be requests in a time, like \"4/h\" or \"4/h burst 2\"\n";
    for (const char* text :
         {"4", "/h", "0/h", "4/h burst", "4/h burst 0", "4/h  burst 2", "-1/h", "4.5/h", "1000001/h"})
        EXPECT_EQ(errors_of(kTime + "rate = \"" + text + "\"\n"), "p:5:8: error: " + rate) << text;
    EXPECT_EQ(errors_of(kTime + "rate = \"4/hour\"\n"),
              "p:5:8: error: unknown time 'hour'; expected 's', 'min', 'h' or 'day'\n");
    EXPECT_EQ(
        errors_of(kFiles + "bytes = \"1GB/day\"\n"),
        "p:6:9: error: 'bytes' must be a size in a time, like \"1GiB/day\"; did you mean '1GiB/day'?\n");
    EXPECT_EQ(errors_of(kFiles + "concurrent = 0\n"), "p:6:14: error: 'concurrent' must be from 1 to 512\n");
    EXPECT_EQ(errors_of(kFiles + "concurent = 1\n"),
              "p:6:1: error: unknown key 'concurent' in an allow rule; did you mean 'concurrent'?\n");
    EXPECT_EQ(
        errors_of(kTime + "bytes = \"1GiB/day\"\n"),
        "p:5:9: error: 'bytes' means nothing here: the rule allows neither guest-file-open nor guest-exec\n");
    EXPECT_EQ(
        errors_of("[[allow]]\nid = \"a\"\ncommands = [\"@sync\", \"guest-fsfreeze-thaw\"]\nrate = \"1/h\"\n"),
        "p:5:8: error: 'rate' means nothing here: no command of the rule is counted\n");
    EXPECT_EQ(errors_of(kTime + "rate = \"1/day burst 400\"\n"),
              "p:5:8: error: a burst of 400 takes longer than a year to fill\n");
    EXPECT_EQ(errors_of(kFiles + "bytes = \"1GiB/s\"\n"),
              "p:6:9: error: 'bytes' must be at most 1000000000B/s\n");
    const std::string program =
        "[[allow]]\nid = \"a\"\ncommands = [\"guest-exec\"]\nexec = [{ program = \"/bin/x\", args = [], "
        "run_as = "
        "\"nobody\" }]\n";
    EXPECT_EQ(errors_of(program + "concurrent = 1\n"),
              "p:6:14: error: 'concurrent' means nothing here: it counts open files; each 'exec' table has a "
              "'concurrent' of its own\n");
    EXPECT_EQ(
        errors_of(program + "bytes = \"100KiB/day\"\n"),
        "p:6:9: error: 'bytes' must have room for what a program writes: twice the 'output' of each 'exec' "
        "table, here 128KiB\n");
    EXPECT_EQ(errors_of(program + "bytes = \"128KiB/day\"\n"), "");
    EXPECT_EQ(errors_of("[[deny]]\nid = \"d\"\ncommands = [\"guest-get-time\"]\nrate = \"1/h\"\n"),
              "p:5:8: error: 'rate' means nothing in a deny rule\n");
}

// Whichever rule stood first would be charged.
TEST(Budget, NoOtherRuleAllowsTheSame) {
    const std::string other = "[[allow]]\nid = \"b\"\ncommands = [\"guest-get-time\"]\n";
    const std::string error =
        "p:2:1: error: rule 'a' (p:2) has a budget, and rule 'b' (p:6) allows the same: guest-get-time\n";
    EXPECT_EQ(errors_of(kTime + "rate = \"1/h\"\n" + other), error);
    EXPECT_EQ(errors_of(kTime + "why = \"none has a budget\"\n" + other), "");
    const auto hours = [](const char* range) {
        return std::string("when = { hours = \"") + range + "\", tz = \"Europe/Berlin\" }\n";
    };
    EXPECT_EQ(errors_of(kTime + "rate = \"1/h\"\n" + hours("08:00-20:00") + other + hours("20:00-08:00")),
              "");
    EXPECT_NE(errors_of(kTime + "rate = \"1/h\"\n" + hours("08:00-20:01") + other + hours("20:00-08:00")),
              "");
    const auto files = [](const char* id, const char* under, const char* more) {
        return std::string("[[allow]]\nid = \"") + id + "\"\ncommands = [\"@file\"]\nfiles = [{ under = \"" +
               under + "\", access = [\"read\"]" + more + " }]\n";
    };
    EXPECT_EQ(errors_of(kFiles + "rate = \"1/h\"\n" + files("b", "/b", "")), "");
    EXPECT_NE(errors_of(kFiles + "rate = \"1/h\"\n" + files("b", "/a/b", "")), "");
    EXPECT_NE(errors_of(kFiles + "rate = \"1/h\"\n" + files("b", "/a", ", owner = [\"bob\"]")), "")
        << "whose the file is, only the guest knows";
}

std::optional<analyse::Direction> direction(const std::string& before, const std::string& after) {
    const auto found = analyse::differences(with(kFiles + before), with(kFiles + after), random::kFirst);
    if (found.empty()) return std::nullopt;
    EXPECT_EQ(found.size(), 1U);
    return found.front().direction;
}

TEST(Budget, IsComparedByAllThatItSays) {
    using analyse::Direction;
    EXPECT_EQ(direction("", "rate = \"1000000/s\"\n"), Direction::kNarrower);
    EXPECT_EQ(direction("rate = \"1000000/s\"\n", ""), Direction::kWider);
    EXPECT_EQ(direction("rate = \"24/day\"\n", "rate = \"1/h burst 24\"\n"), std::nullopt) << "the same";
    EXPECT_EQ(direction("rate = \"4/h\"\n", "rate = \"4/h burst 3\"\n"), Direction::kNarrower);
    EXPECT_EQ(direction("rate = \"4/h\"\n", "rate = \"4/h burst 5\"\n"), Direction::kWider);
    EXPECT_EQ(direction("rate = \"4/h\"\n", "rate = \"3/h burst 5\"\n"), Direction::kWider)
        << "in one of two";
    EXPECT_EQ(direction("bytes = \"1GiB/day\"\n", "bytes = \"1023MiB/day\"\n"), Direction::kNarrower);
    EXPECT_EQ(direction("bytes = \"1GiB/day\"\n", "bytes = \"1GiB/h\"\n"), Direction::kWider);
    EXPECT_EQ(direction("concurrent = 2\n", "concurrent = 3\n"), Direction::kWider);
    EXPECT_EQ(direction("concurrent = 2\nrate = \"1/h\"\n", "concurrent = 1\n"), Direction::kWider);
}

/// What a host gets that always takes all that is there: what was taken until each of some moments.
std::vector<std::uint64_t> greedy(const Flow& flow, std::int64_t step, int steps) {
    std::int64_t due = 0;
    std::uint64_t taken = 0;
    std::vector<std::uint64_t> all;
    for (int at = 0; at < steps; ++at) {
        const std::int64_t now = at * step;
        const std::uint64_t there = left(flow, due, now);
        due = due_after(flow, due, now, there);
        all.push_back(taken += there);
    }
    return all;
}

/// What a host has of all three that a budget bounds, at each of some moments, if it always takes all that is there.
struct Taken {
    std::array<std::vector<std::uint64_t>, 3> of;

    explicit Taken(const Budget& budget) {
        constexpr std::int64_t kStep = 10 * kSecond;
        constexpr int kSteps = 1500;
        const std::vector<std::uint64_t> everything(kSteps, ~std::uint64_t{0});
        of[0] = budget.rate.amount == 0 ? everything : greedy(budget.rate, kStep, kSteps);
        of[1] = budget.bytes.amount == 0 ? everything : greedy(budget.bytes, kStep, kSteps);
        // Files that are opened, one after the other, and never closed.
        for (std::uint64_t open = 0; open < 8; ++open)
            of[2].push_back(budget.concurrent == 0 || open < budget.concurrent ? 1 : 0);
    }
    /// Of any of the three, at any moment.
    [[nodiscard]] bool is_ever_more_than(const Taken& other) const {
        for (std::size_t what = 0; what < of.size(); ++what)
            for (std::size_t at = 0; at < of[what].size(); ++at)
                if (of[what][at] > other.of[what][at]) return true;
        return false;
    }
};

/// Each key there or not.
std::string random_budget(random::Source& source) {
    constexpr std::array kTimes{"min", "h"};
    const auto number = [&] { return std::to_string(1 + source.below(3)); };
    const auto time = [&] { return std::string("/") + kTimes[source.below(2)]; };
    std::string text;
    if (source.below(3) != 0) text += "rate = \"" + number() + time() + " burst " + number() + "\"\n";
    if (source.below(3) != 0) text += "bytes = \"" + number() + "KiB" + time() + "\"\n";
    if (source.below(3) != 0) text += "concurrent = " + number() + "\n";
    return text;
}

// A host gets more of something by one of two budgets at some moment exactly if diff says that it is wider.
TEST(Budget, ThatIsNarrowerLetsNobodyTakeMoreOfAnythingAtAnyMoment) {
    random::Source source(9);
    std::array<int, 3> seen{};
    for (int number = 0; number < 200; ++number) {
        const std::string before = random_budget(source);
        const std::string after = number % 5 == 0 ? before : random_budget(source);
        const Taken by_old(with(kFiles + before).rules[0].budget);
        const Taken by_new(with(kFiles + after).rules[0].budget);
        const bool is_more = by_new.is_ever_more_than(by_old), is_less = by_old.is_ever_more_than(by_new);
        const auto found = direction(before, after);
        EXPECT_EQ(found.has_value(), is_more || is_less) << before << "then\n" << after;
        EXPECT_EQ(found == analyse::Direction::kWider, is_more) << before << "then\n" << after;
        ++seen[!found ? 0 : is_more ? 1 : 2];
    }
    for (const int count : seen) EXPECT_GT(count, 10);
}

// The same of one key at a time.
TEST(Budget, EachKeyIsComparedAlone) {
    for (const auto& [more, less] :
         {std::pair("bytes = \"3KiB/h\"\n", "bytes = \"2KiB/h\"\n"),
          std::pair("bytes = \"2KiB/min\"\n", "bytes = \"2KiB/h\"\n"),
          std::pair("concurrent = 3\n", "concurrent = 2\n"), std::pair("", "concurrent = 512\n"),
          std::pair("", "bytes = \"1GiB/min\"\n")}) {
        EXPECT_EQ(direction(less, more), analyse::Direction::kWider) << more << less;
        EXPECT_EQ(direction(more, less), analyse::Direction::kNarrower) << more << less;
    }
}

TEST(Budget, TheFloorIsNeverCounted) {
    for (const Command& row : kCommands)
        EXPECT_FALSE(row.floor == Floor::kYes && is_counted(row)) << row.name;
    EXPECT_FALSE(is_counted(command_row(CommandId::kFsfreezeThaw)));
    EXPECT_TRUE(is_counted(command_row(CommandId::kFsfreezeFreeze)));
    EXPECT_EQ(errors_of("[[allow]]\nid = \"a\"\ncommands = [\"@freeze\"]\nfreeze = {}\nrate = \"1/day\"\n"),
              "");
}

TEST(Budget, EffectiveSaysItAgain) {
    const std::string keys = "rate = \"4/h burst 2\"\nbytes = \"1MiB/day\"\nconcurrent = 3\n";
    const auto first = compiled(kFiles + keys);
    ASSERT_TRUE(first) << first.error();
    const compile::Passwd users(random::kPasswd, "");
    const std::string again = effective_text(*first, users);
    EXPECT_NE(again.find(keys), again.npos) << again;
}

TEST(CompiledBudget, WhatNoCompilerWritesIsRefused) {
    const auto refused = [](const std::string& rules, auto change) {
        auto result = compiled(rules);
        EXPECT_TRUE(result && load(result->policy.SerializeAsString()));
        change(*result->policy.mutable_rules(0)->mutable_budget());
        return !load(result->policy.SerializeAsString());
    };
    const std::string rate = kFiles + "rate = \"4/h\"\n";
    EXPECT_TRUE(refused(rate, [](auto& budget) { budget.set_burst(0); }));
    EXPECT_TRUE(refused(rate, [](auto& budget) { budget.set_per_ms(0); }));
    EXPECT_TRUE(refused(rate, [](auto& budget) { budget.set_burst(UINT32_MAX); }));
    EXPECT_TRUE(refused(rate, [](auto& budget) { budget.Clear(); }));
    EXPECT_TRUE(refused(rate, [](auto& budget) { budget.set_requests(0); }));
    EXPECT_TRUE(refused(rate, [](auto& budget) { budget.set_bytes(5); }));
    EXPECT_TRUE(refused("[[deny]]\nid = \"d\"\ncommands = [\"guest-get-time\"]\n",
                        [](auto& budget) { budget.set_concurrent(1); }));
}

}  // namespace
}  // namespace sallyport::policy
