// Hours of the week in a named time zone: what the compiler makes of them, and what is decided by that.
#include <gtest/gtest.h>

#include <fstream>
#include <iterator>

#include "ipc/limits.hpp"
#include "policy/accounts.hpp"
#include "policy/exec.hpp"
#include "policy/set.hpp"
#include "policy/tool/analyse/decider.hpp"
#include "policy/tool/analyse/diff.hpp"
#include "policy/tool/analyse/explain.hpp"
#include "policy/tool/analyse/feature.hpp"
#include "policy/tool/compile/compile.hpp"
#include "policy/tool/compile/effective.hpp"
#include "policy/tool/compile/zone.hpp"
#include "tests/unit/policy/random_policy.hpp"

namespace sallyport::policy {
namespace {

using analyse::read_time;
using compile::parse_zone;
using compile::Zone;

const std::string kAllow = "[[allow]]\nid = \"a\"\ncommands = [\"guest-get-time\"]\n";
const std::string kDeny = "[[deny]]\nid = \"d\"\ncommands = [\"guest-get-time\"]\n";

Policy with(const std::string& rules) {
    auto policy = random::compiled("schema = 1\n" + rules);
    EXPECT_TRUE(policy);
    return policy ? *std::move(policy) : Policy();
}

std::string when(const std::string& days, const std::string& hours,
                 const std::string& zone = "Europe/Berlin") {
    return "when = { days = \"" + days + "\", hours = \"" + hours + "\", tz = \"" + zone + "\" }\n";
}

bool is_allowed(const Policy& policy, const std::string& time) {
    return decide_command(policy, CommandId::kGetTime, *read_time(time)).is_allowed();
}

std::string errors_of(const std::string& when) {
    const std::string text = "schema = 1\n" + kAllow + "when = " + when + "\n";
    const auto compiled = compile::compile_policy(
        {.text = text, .name = "p", .passwd = random::kPasswd, .zones = random::zone_file});
    return compiled ? "" : compiled.error();
}

TEST(When, AWindowBeginsAndEndsByTheClocksOfItsZone) {
    const Policy policy = with(kAllow + when("mon-fri", "08:00-17:30"));
    // Monday, 5 January 2026; an hour ahead of UTC.
    EXPECT_FALSE(is_allowed(policy, "2026-01-05T06:59:59Z"));
    EXPECT_TRUE(is_allowed(policy, "2026-01-05T07:00:00Z"));
    EXPECT_TRUE(is_allowed(policy, "2026-01-05T16:29:59Z"));
    EXPECT_FALSE(is_allowed(policy, "2026-01-05T16:30:00Z"));
    EXPECT_FALSE(is_allowed(policy, "2026-01-04T12:00:00Z")) << "a Sunday";
    // In summer two hours.
    EXPECT_FALSE(is_allowed(policy, "2026-07-06T05:59:59Z"));
    EXPECT_TRUE(is_allowed(policy, "2026-07-06T06:00:00Z"));
    EXPECT_FALSE(is_allowed(policy, "2026-07-06T15:30:00Z"));
}

TEST(When, AWindowOverMidnightBelongsToTheDayOnWhichItBegins) {
    const Policy policy = with(kAllow + when("fri,sun", "22:00-05:00", "UTC"));
    EXPECT_FALSE(is_allowed(policy, "2026-01-09T04:00:00Z")) << "Friday morning";
    EXPECT_FALSE(is_allowed(policy, "2026-01-09T21:59:59Z"));
    EXPECT_TRUE(is_allowed(policy, "2026-01-09T22:00:00Z"));
    EXPECT_TRUE(is_allowed(policy, "2026-01-10T04:59:59Z"));
    EXPECT_FALSE(is_allowed(policy, "2026-01-10T05:00:00Z"));
    EXPECT_TRUE(is_allowed(policy, "2026-01-11T23:00:00Z")) << "Sunday";
    EXPECT_TRUE(is_allowed(policy, "2026-01-12T04:00:00Z")) << "the night to the next week";
    EXPECT_FALSE(is_allowed(policy, "2026-01-12T05:00:00Z"));
}

TEST(When, WhereTheClocksAreSetTheWindowGoesWithThem) {
    // 29 March 2026, 01:00 UTC: from 02:00 to 03:00. 25 October 2026, 01:00 UTC: from 03:00 to 02:00.
    const Policy skipped = with(kAllow + when("sun", "02:00-03:00"));
    EXPECT_FALSE(is_allowed(skipped, "2026-03-29T00:59:59Z"));
    EXPECT_FALSE(is_allowed(skipped, "2026-03-29T01:00:00Z"));
    for (const char* twice :
         {"2026-10-25T00:00:00Z", "2026-10-25T00:59:59Z", "2026-10-25T01:00:00Z", "2026-10-25T01:59:59Z"})
        EXPECT_TRUE(is_allowed(skipped, twice)) << twice;
    EXPECT_FALSE(is_allowed(skipped, "2026-10-25T02:00:00Z"));
    const Policy night = with(kAllow + when("sat", "22:00-05:00"));
    EXPECT_TRUE(is_allowed(night, "2026-03-29T02:59:59Z"));
    EXPECT_FALSE(is_allowed(night, "2026-03-29T03:00:00Z"));
    EXPECT_TRUE(is_allowed(night, "2064-10-26T03:59:59Z"));
    EXPECT_FALSE(is_allowed(night, "2064-10-26T04:00:00Z"));
}

TEST(When, ADenialCountsInItsHoursOnly) {
    const Policy policy = with(kAllow + kDeny + when("mon-sun", "08:00-17:00", "UTC"));
    EXPECT_TRUE(is_allowed(policy, "2026-01-05T07:59:59Z"));
    EXPECT_FALSE(is_allowed(policy, "2026-01-05T08:00:00Z"));
    EXPECT_TRUE(is_allowed(policy, "2026-01-05T17:00:00Z"));
    EXPECT_TRUE(reach_of(policy).commands.has(CommandId::kGetTime));
    EXPECT_TRUE(enabled_commands(policy, *read_time("2026-01-05T07:59:59Z")).has(CommandId::kGetTime));
    EXPECT_FALSE(enabled_commands(policy, *read_time("2026-01-05T08:00:00Z")).has(CommandId::kGetTime));
}

bool is_allowed(const Policy& policy, const std::string& latest, const std::string& wall) {
    const Moment now(*read_time(latest), *read_time(wall));
    const bool is_enabled = enabled_commands(policy, now).has(CommandId::kGetTime);
    EXPECT_EQ(is_enabled, decide_command(policy, CommandId::kGetTime, now).is_allowed());
    return is_enabled;
}

// Whoever sets the clock into a window and back, or back into one, gains nothing that lasts.
TEST(When, WhatAllowsLiesInItsHoursByTheClockAndByTheLatestTimeEverSeen) {
    const Policy policy = with(kAllow + when("mon-sun", "22:00-05:00", "UTC"));
    const std::string noon = "2026-01-05T12:00:00Z";
    const std::string night = "2026-01-05T23:00:00Z";
    EXPECT_TRUE(is_allowed(policy, night, night));
    EXPECT_FALSE(is_allowed(policy, night, noon)) << "set into the window, and back";
    EXPECT_FALSE(is_allowed(policy, "2026-01-06T12:00:00Z", night)) << "set back into it";
    EXPECT_TRUE(is_allowed(policy, "2026-01-06T02:00:00Z", night));
}

TEST(When, WhatDeniesDoesSoInItsHoursByTheClockOrByTheLatestTimeEverSeen) {
    const Policy policy = with(kAllow + kDeny + when("mon-sun", "08:00-17:00", "UTC"));
    const std::string noon = "2026-01-05T12:00:00Z";
    const std::string night = "2026-01-05T23:00:00Z";
    EXPECT_FALSE(is_allowed(policy, night, noon)) << "set beyond the hours, and back";
    EXPECT_FALSE(is_allowed(policy, noon, "2026-01-05T07:00:00Z")) << "set back before them";
    EXPECT_TRUE(is_allowed(policy, night, night));
    EXPECT_TRUE(is_allowed(policy, night, "2026-01-05T07:00:00Z"));
}

TEST(When, ExpiryIsByTheLatestTimeEverSeenAlone) {
    const Policy policy = with(kAllow + "expires = 2026-01-05T12:00:00Z\n");
    EXPECT_FALSE(is_allowed(policy, "2026-01-05T12:00:00Z", "2026-01-05T11:00:00Z"));
    EXPECT_TRUE(is_allowed(policy, "2026-01-05T11:59:59Z", "2026-01-05T13:00:00Z"));
}

TEST(When, BeyondTheTableNothingIsAllowedAndAllIsDenied) {
    const std::string always = when("mon-sun", "00:00-24:00");
    EXPECT_TRUE(is_allowed(with(kAllow + always), "2064-12-31T23:59:59Z"));
    EXPECT_FALSE(is_allowed(with(kAllow + always), "2065-01-01T00:00:00Z"));
    const Policy denied = with(kAllow + kDeny + when("mon", "08:00-09:00"));
    EXPECT_TRUE(is_allowed(denied, "2064-12-31T23:59:59Z"));
    EXPECT_FALSE(is_allowed(denied, "2065-01-01T00:00:00Z"));
}

TEST(When, TheLauncherDecidesByTheSameHours) {
    const std::string exec = "[[allow]]\nid = \"x\"\ncommands = [\"@exec\"]\n" +
                             when("sat-sun", "00:00-24:00", "UTC") +
                             "[[allow.exec]]\nprogram = \"/p\"\nargs = []\nrun_as = \"root\"\n";
    const std::string deny =
        "[[deny]]\nid = \"d\"\ncommands = [\"guest-exec\"]\n" + when("sun", "10:00-11:00", "UTC");
    const auto templates = exec_templates(with(exec + deny));
    ASSERT_EQ(templates.size(), 1);
    const auto misses = [&](const char* time) {
        return match_exec(templates[0], {.program = "/p", .args = {}, .env = {}, .input = {}},
                          *read_time(time))
            .miss;
    };
    EXPECT_EQ(misses("2026-01-09T12:00:00Z"), ExecMiss::kTime) << "a Friday";
    EXPECT_EQ(misses("2026-01-10T12:00:00Z"), ExecMiss::kNothing);
    EXPECT_EQ(misses("2026-01-11T10:30:00Z"), ExecMiss::kTime) << "the denial";
    EXPECT_EQ(misses("2026-01-11T11:00:00Z"), ExecMiss::kNothing);
}

TEST(When, WhatIsSetAndWhoseKeysAreChangedGoesByBothTimes) {
    const std::string hours = when("sat-sun", "00:00-24:00", "UTC");
    const SetRules rules =
        set_rules(with("[[allow]]\nid = \"s\"\ncommands = [\"guest-set-vcpus\"]\n"
                       "vcpus = { min_online = 1, cpus = \"any\" }\n" +
                       hours));
    ASSERT_EQ(rules.size(), 1);
    ipc::AccountTemplate users;
    users.set_command(static_cast<std::uint32_t>(CommandId::kSetUserPassword));
    users.set_any_user(true);
    *users.mutable_times() = rules[0].times();
    ipc::SetOrder order;
    order.mutable_vcpus();
    const std::int64_t friday = *read_time("2026-01-09T12:00:00Z");
    const std::int64_t saturday = *read_time("2026-01-10T12:00:00Z");
    const auto misses = [&](std::int64_t latest, std::int64_t wall) {
        const SetMiss miss =
            decide_set(rules, order, {.latest = latest, .wall_ns = wall * 1'000'000'000}).miss;
        return std::pair(miss, match_account(users, {.command = CommandId::kSetUserPassword, .user = "ann"},
                                             {latest, wall}));
    };
    const std::pair closed(SetMiss::kTime, AccountMiss::kTime);
    EXPECT_EQ(misses(friday, friday), closed);
    EXPECT_EQ(misses(saturday, friday), closed);
    EXPECT_EQ(misses(saturday + 2 * 86'400, saturday), closed);
    const auto open = misses(saturday, saturday);
    EXPECT_EQ(open.first, SetMiss::kNothing);
    EXPECT_NE(open.second, AccountMiss::kTime);
}

TEST(When, DiffFindsTheHourInWhichTwoPoliciesDiffer) {
    const Policy before = with(kAllow + when("mon-fri", "22:00-05:00"));
    const Policy after = with(kAllow + when("mon-fri", "22:00-05:01"));
    const WallTime from = *read_time("2026-01-01T00:00:00Z");
    const auto wider = analyse::differences(before, after, from);
    ASSERT_EQ(wider.size(), 1U);
    EXPECT_EQ(wider[0].direction, analyse::Direction::kWider);
    EXPECT_EQ(wider[0].limits, "when");
    EXPECT_FALSE(decide_command(before, CommandId::kGetTime, wider[0].witness.time).is_allowed());
    EXPECT_TRUE(decide_command(after, CommandId::kGetTime, wider[0].witness.time).is_allowed());
    EXPECT_EQ(analyse::differences(after, before, from).at(0).direction, analyse::Direction::kNarrower);
    EXPECT_TRUE(analyse::differences(before, before, from).empty());
    // Berlin and Lagos have the same time, but not in summer.
    const Policy other = with(kAllow + when("mon-fri", "22:00-05:00", "UTC"));
    EXPECT_EQ(analyse::differences(before, other, from).size(), 2U);
}

// The two windows are the same in summer and differ in winter. Half an hour before the clocks are set, what is left of this winter has no
// Monday, but the next one has.
TEST(When, DiffFindsADifferenceThatTheRestOfASeasonDoesNotShow) {
    const Policy berlin = with(kAllow + when("mon", "08:00-09:00"));
    const Policy utc = with(kAllow + when("mon", "06:00-07:00", "UTC"));
    EXPECT_EQ(analyse::differences(berlin, utc, *read_time("2026-03-29T00:30:00Z")).size(), 2U);
}

TEST(When, ExplainNamesTheHours) {
    const Policy policy = with(kAllow + when("mon", "08:00-09:00", "UTC"));
    const auto explained = analyse::explain(
        policy, {.command = CommandId::kGetTime, .time = *read_time("2026-01-05T09:00:00Z")});
    ASSERT_EQ(explained.near.size(), 1U);
    EXPECT_EQ(explained.near[0].missed[0]->key, "when");
    EXPECT_TRUE(explained.remedy);
}

TEST(When, EffectiveSaysItAgain) {
    const std::string text = "schema = 1\n" + kAllow + when("mon-wed,sat", "22:00-05:00");
    const compile::Source source{
        .text = text, .name = "p", .passwd = random::kPasswd, .zones = random::zone_file};
    const auto compiled = compile::compile_with_nevers(source);
    ASSERT_TRUE(compiled) << compiled.error();
    const std::string again = effective_text(*compiled, compile::Passwd(random::kPasswd, ""));
    EXPECT_NE(again.find(when("mon-wed,sat", "22:00-05:00")), again.npos) << again;
}

struct Mistake {
    const char* when;
    const char* error;
};

TEST(When, MistakesAreNamed) {
    for (const auto& [when, error] : {
             Mistake{R"({ days = "mon-fri", hours = "8:00-17:00", tz = "UTC" })",
                     "p:5:36: error: 'hours' must be two times of a day, like \"08:00-17:30\"; "
                     "\"22:00-05:00\" ends on the next day\n"},
             Mistake{R"({ hours = "08:00-24:01", tz = "UTC" })",
                     "p:5:18: error: 'hours' must be two times of a day, like \"08:00-17:30\"; "
                     "\"22:00-05:00\" ends on the next day\n"},
             Mistake{R"({ hours = "08:00-08:00", tz = "UTC" })",
                     "p:5:18: error: 'hours' must be two times of a day, like \"08:00-17:30\"; "
                     "\"22:00-05:00\" ends on the next day\n"},
             Mistake{R"({ days = "mon-fry", tz = "UTC" })",
                     "p:5:17: error: unknown day 'fry'; did you mean 'fri'?\n"},
             Mistake{R"({ days = "mon,", tz = "UTC" })",
                     "p:5:17: error: 'days' must be days or ranges of days, like \"mon-fri\" or "
                     "\"mon,wed,sat-sun\"\n"},
             Mistake{R"({ days = "mon", tz = "Europe/Berlim" })",
                     "p:5:29: error: unknown time zone 'Europe/Berlim'; did you mean 'Europe/Berlin'?\n"},
             Mistake{R"({ days = "mon", tz = "../../etc/passwd" })",
                     "p:5:29: error: unknown time zone '../../etc/passwd'; expected 'UTC', 'Europe/Berlin', "
                     "'America/New_York' or 'Arctic/Longyearbyen'\n"},
             Mistake{R"({ days = "mon" })",
                     "p:5:8: error: 'when' needs 'tz', like \"Europe/Berlin\" or \"UTC\"\n"},
             Mistake{R"({ tz = "UTC" })", "p:5:8: error: 'when' needs 'days' or 'hours'\n"},
             Mistake{R"({ day = "mon", hours = "01:00-02:00", tz = "UTC" })",
                     "p:5:10: error: unknown key 'day' in 'when'; did you mean 'days'?\n"},
             Mistake{R"("mon-fri")", "p:5:8: error: 'when' must be a table, not a string\n"},
         })
        EXPECT_EQ(errors_of(when), error);
}

TEST(Zones, TheRuleAtTheEndHoldsForTheYearsThatAreNotListed) {
    const auto berlin = parse_zone(random::zone_with("CET-1CEST,M3.5.0,M10.5.0/3"));
    ASSERT_TRUE(berlin);
    ASSERT_EQ(berlin->switches.size(), 80U);
    EXPECT_EQ(berlin->offsets.front(), 3600);
    EXPECT_EQ(analyse::show_time(berlin->switches.front()), "2025-03-30T01:00:00Z");
    EXPECT_EQ(berlin->offsets[1], 7200);
    EXPECT_EQ(analyse::show_time(berlin->switches.back()), "2064-10-26T01:00:00Z");
    const auto sydney = parse_zone(random::zone_with("AEST-10AEDT,M10.1.0,M4.1.0/3"));
    ASSERT_TRUE(sydney);
    EXPECT_EQ(sydney->offsets.front(), 11 * 3600) << "summer there";
    EXPECT_EQ(analyse::show_time(sydney->switches.front()), "2025-04-05T16:00:00Z");
    const auto dublin = parse_zone(random::zone_with("IST-1GMT0,M10.5.0,M3.5.0/1"));
    ASSERT_TRUE(dublin);
    EXPECT_EQ(dublin->offsets.front(), 0);
    EXPECT_EQ(analyse::show_time(dublin->switches.front()), "2025-03-30T01:00:00Z");
    const auto nuuk = parse_zone(random::zone_with("<-02>2<-01>,M3.5.0/-1,M10.5.0/0"));
    ASSERT_TRUE(nuuk);
    EXPECT_EQ(analyse::show_time(nuuk->switches.front()), "2025-03-30T01:00:00Z");
    const auto julian = parse_zone(random::zone_with("AAA0BBB,J60,59/0"));
    ASSERT_TRUE(julian);
    const auto fixed = parse_zone(random::zone_with("IST-5:30"));
    ASSERT_TRUE(fixed);
    EXPECT_EQ(fixed->offsets, std::vector<std::int32_t>{19800});
}

TEST(Zones, WhatIsNoZoneIsRefused) {
    for (const char* footer : {"CET", "CET-1CEST", "CET-1CEST,M3.5.0", "CET-1CEST,M13.5.0,M10.5.0", "C-1",
                               "CET-1CEST,M3.5.0,M10.5.0/3,", "CET-1CEST,M3.5.7,M10.5.0", "CET-168"})
        EXPECT_FALSE(parse_zone(random::zone_with(footer))) << footer;
    const std::string whole = random::zone_with("CET-1");
    for (std::size_t size = 0; size < whole.size(); ++size)
        EXPECT_FALSE(parse_zone(whole.substr(0, size))) << size;
}

// Of a list that goes to the end of time nothing is reckoned further: with sanitizers (./dev fuzz) this fails where it is.
TEST(Zones, AListThatEndsWithTheLargestNumberIsRead) {
    for (const char* footer : {"CET-1", "CET-1CEST,M3.5.0,M10.5.0/3"}) {
        std::string file = random::zone_with(footer);
        const std::size_t second = file.find("TZif", 1);
        file[second + 35] = 1;  // one switch
        file.insert(second + 44, "\x7f\xff\xff\xff\xff\xff\xff\xff\0", 9);
        const auto zone = parse_zone(file);
        ASSERT_TRUE(zone) << footer;
        EXPECT_EQ(zone->offsets, std::vector<std::int32_t>{0}) << "the only one that is listed";
    }
}

// What the C library makes of the same files.
TEST(Zones, TheSystemsZonesAreReadAsTheSystemReadsThem) {
    for (const char* name : {"Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "Asia/Kathmandu",
                             "Africa/Casablanca", "America/Nuuk", "Europe/Dublin", "Pacific/Apia"}) {
        std::ifstream file(std::string("/usr/share/zoneinfo/") + name);
        ASSERT_TRUE(file) << name << ": the package tzdata is needed";
        const auto zone = parse_zone(std::string(std::istreambuf_iterator<char>(file), {}));
        ASSERT_TRUE(zone) << name;
        ASSERT_EQ(::setenv("TZ", name, 1), 0);
        ::tzset();
        for (std::time_t at = kWhenStart; at < kWhenEnd; at += 5 * 3600 + 1111) {
            std::tm local{};
            ::localtime_r(&at, &local);
            const auto past = std::ranges::upper_bound(zone->switches, at) - zone->switches.begin();
            ASSERT_EQ(zone->offsets[static_cast<std::size_t>(past)], local.tm_gmtoff) << name << " " << at;
        }
    }
    ::unsetenv("TZ");
    ::tzset();
}

TEST(Zones, NamesStayBelowTheirDirectory) {
    for (const char* name : {"Europe/Berlin", "Etc/GMT+5", "UTC", "America/Argentina/Buenos_Aires"})
        EXPECT_TRUE(compile::is_zone_name(name)) << name;
    for (const char* name : {"", "/etc/passwd", "../passwd", "a/../b", "a\nb"})
        EXPECT_FALSE(compile::is_zone_name(name)) << name;
}

ipc::When valid() {
    ipc::When when;
    when.add_spans()->set_to(10);
    when.add_offsets(0);
    return when;
}

TEST(CompiledWhen, WhatNoCompilerWritesIsRefused) {
    EXPECT_TRUE(ipc::check(valid()));
    const auto refused = [](auto change) {
        ipc::When when = valid();
        change(when);
        return !ipc::check(when);
    };
    EXPECT_TRUE(refused([](auto& when) { when.clear_spans(); }));
    EXPECT_TRUE(refused([](auto& when) { when.add_spans()->set_to(5); }));
    EXPECT_TRUE(refused([](auto& when) { when.mutable_spans(0)->set_to(7 * 86'400 + 1); }));
    EXPECT_TRUE(refused([](auto& when) { when.mutable_spans(0)->set_from(10); }));
    EXPECT_TRUE(refused([](auto& when) { when.clear_offsets(); }));
    EXPECT_TRUE(refused([](auto& when) { when.add_switches(5); })) << "without its offset";
    EXPECT_TRUE(refused([](auto& when) { when.set_offsets(0, 3 * 86'400); }));
    EXPECT_TRUE(refused([](auto& when) {
        for (int at = 0; at < 2; ++at) {
            when.add_switches(5);
            when.add_offsets(0);
        }
    }));
    EXPECT_TRUE(refused([](auto& when) {
        for (std::size_t at = 0; at <= kMaxSwitches; ++at) {
            when.add_switches(static_cast<std::int64_t>(at));
            when.add_offsets(0);
        }
    }));
}

}  // namespace
}  // namespace sallyport::policy
