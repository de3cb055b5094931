// What two policies let a host do: by cells, and by trying.
#include "policy/tool/analyse/diff.hpp"

#include <gtest/gtest.h>

#include <algorithm>

#include "policy/tool/analyse/feature.hpp"
#include "policy/tool/analyse/words.hpp"
#include "tests/unit/policy/random_policy.hpp"

namespace sallyport::policy::analyse {
namespace {

constexpr int kPairs = 10'000;
constexpr int kRequests = 120;

using random::compiled;
using random::kFirst;
using random::text_of;

Policy policy_of(const std::string& rules) {
    auto policy = compiled("schema = 1\n" + rules);
    EXPECT_TRUE(policy) << rules;
    return policy.value_or(Policy{});
}

struct Found {
    bool is_wider = false;
    bool is_narrower = false;
    std::string shown = {};  // the requests that show it
    [[nodiscard]] bool is_none() const { return !is_wider && !is_narrower; }
};

Found found_by_diff(const Policy& before, const Policy& after) {
    Found found;
    for (const Difference& one : differences(before, after, kFirst)) {
        if (!one.terms.empty()) continue;
        (one.direction == Direction::kWider ? found.is_wider : found.is_narrower) = true;
    }
    return found;
}

/// What `count` requests find, of which each may also be a witness.
Found found_by_trying(const Decider& before, const Decider& after, random::Source& source, int count) {
    Found found;
    for (int at = 0; at < count; ++at) {
        const Request request = source.request();
        const bool was = before.decide(request).is_allowed();
        const bool is = after.decide(request).is_allowed();
        found.is_wider |= is && !was;
        found.is_narrower |= was && !is;
        if (was != is) found.shown += "\n" + line_of(request, true);
    }
    return found;
}

struct Pair {
    Policy before;
    Policy after;
};

/// Two of nothing in common, or one that was edited.
Pair random_pair(random::Source& source) {
    for (;;) {
        auto rules = source.rules(1 + source.below(5));
        const auto before = compiled(text_of(rules));
        if (source.chance(20)) rules = source.rules(1 + source.below(5));
        const std::size_t at = source.below(rules.size());
        if (source.chance(30))
            rules.erase(rules.begin() + static_cast<std::ptrdiff_t>(at));
        else if (source.chance(50))
            rules[at] = source.chance(70) ? source.allow_rule("e") : source.deny_rule("e");
        else
            rules.push_back(source.chance(70) ? source.allow_rule("e") : source.deny_rule("e"));
        const auto after = compiled(text_of(rules));
        if (before && after) return {*before, *after};
    }
}

TEST(Diff, MissesNothingThatTryingFindsAndEachWitnessIsReal) {
    random::Source source(10);
    int differing = 0;
    for (int number = 0; number < kPairs; ++number) {
        const auto [before, after] = random_pair(source);
        const Decider was(before), is(after);
        const Found exact = found_by_diff(before, after);
        const Found tried = found_by_trying(was, is, source, kRequests);
        ASSERT_TRUE(exact.is_wider || !tried.is_wider) << number << tried.shown;
        ASSERT_TRUE(exact.is_narrower || !tried.is_narrower) << number << tried.shown;
        differing += exact.is_none() ? 0 : 1;
        for (const Difference& one : differences(before, after, kFirst)) {
            const bool allowed_before = was.decide(one.witness).is_allowed();
            const bool allowed_after = is.decide(one.witness).is_allowed();
            ASSERT_EQ(allowed_before && allowed_after, !one.terms.empty()) << line_of(one.witness, true);
            ASSERT_TRUE(allowed_before != allowed_after || !one.terms.empty()) << line_of(one.witness, true);
        }
    }
    EXPECT_GT(differing, kPairs / 4);
}

TEST(Diff, TheOrderOfRulesNeverMatters) {
    random::Source source(11);
    for (int number = 0; number < 500; ++number) {
        auto rules = source.rules(1 + source.below(6));
        const auto before = compiled(text_of(rules));
        if (!before) continue;
        std::ranges::reverse(rules);
        std::ranges::rotate(rules, rules.begin() + static_cast<std::ptrdiff_t>(source.below(rules.size())));
        const auto after = compiled(text_of(rules));
        ASSERT_TRUE(after);
        ASSERT_TRUE(found_by_diff(*before, *after).is_none()) << text_of(rules);
    }
}

TEST(Diff, AddingADenyRuleNeverAllows) {
    random::Source source(12);
    for (int number = 0; number < 500; ++number) {
        auto rules = source.rules(1 + source.below(5));
        const auto before = compiled(text_of(rules));
        rules.push_back(source.deny_rule("more"));
        const auto after = compiled(text_of(rules));
        if (!before || !after) continue;
        ASSERT_FALSE(found_by_diff(*before, *after).is_wider) << text_of(rules);
    }
}

TEST(Diff, AddingAnAllowRuleNeverDenies) {
    random::Source source(13);
    for (int number = 0; number < 500; ++number) {
        auto rules = source.rules(1 + source.below(5));
        const auto before = compiled(text_of(rules));
        rules.push_back(source.allow_rule("more"));
        const auto after = compiled(text_of(rules));
        if (!before || !after) continue;
        ASSERT_FALSE(found_by_diff(*before, *after).is_narrower) << text_of(rules);
    }
}

TEST(Diff, WhatIsCarriedOutInAnotherWayIsToldByItsTerms) {
    const std::string rule =
        "[[allow]]\nid = \"a\"\ncommands = [\"@exec\"]\n[[allow.exec]]\nprogram = \"/p\"\nargs = []\nrun_as "
        "= \"root\"\n";
    const Policy before = policy_of(rule + "max_runtime = \"10s\"\noutput = \"200B\"\n");
    const auto wider =
        differences(before, policy_of(rule + "max_runtime = \"20s\"\noutput = \"100B\"\n"), kFirst);
    ASSERT_EQ(wider.size(), 1U);
    EXPECT_EQ(wider.front().direction, Direction::kWider);
    EXPECT_EQ(wider.front().terms, "output 200 -> 100, max_runtime 10000 -> 20000");
    const auto narrower =
        differences(before, policy_of(rule + "output = \"100B\"\nmax_runtime = \"9s\"\n"), kFirst);
    ASSERT_EQ(narrower.size(), 1U);
    EXPECT_EQ(narrower.front().direction, Direction::kNarrower);
}

TEST(Diff, WhatARuleOfTheSameNameDidNotTakeIsNamed) {
    const std::string head =
        "[[allow]]\nid = \"a\"\ncommands = [\"@file\"]\nfiles = [{ under = \"/srv\", access = [\"read\"]";
    const auto found = differences(policy_of(head + ", max_size = 10 }]\n"),
                                   policy_of(head + ", max_size = 20 }]\n"), kFirst);
    const auto refused = std::ranges::find_if(found, [](const Difference& one) { return one.terms.empty(); });
    ASSERT_NE(refused, found.end());
    EXPECT_EQ(refused->limits, "max_size");
    EXPECT_EQ(refused->witness.file.found.size, 11U);
}

std::string told(const std::string& before, const std::string& after) {
    std::string text;
    for (const Difference& one : differences(policy_of(before), policy_of(after), kFirst))
        text += std::string(one.direction == Direction::kWider ? "wider " : "narrower ") +
                line_of(one.witness, false) + " " + one.terms + one.limits + "\n";
    return text;
}

TEST(Diff, OfPasswordsAndKeysUsersFormsTypesAndNumbersAreTold) {
    const std::string password =
        "[[allow]]\nid = \"a\"\ncommands = [\"guest-set-user-password\"]\ncrypted = \"only\"\nusers = ";
    EXPECT_EQ(told(password + "[\"bob\"]\n", password + "[\"alice\", \"bob\"]\n"),
              "wider guest-set-user-password user=alice crypted=yes users\n");
    EXPECT_EQ(told(password + "\"any\"\n", password + "[\"bob\"]\n"),
              "narrower guest-set-user-password user=bob crypted=yes users any -> by name\n"
              "narrower guest-set-user-password user=other crypted=yes users\n");
    const std::string keys =
        "[[allow]]\nid = \"a\"\ncommands = [\"guest-ssh-add-authorized-keys\"]\nusers = [\"bob\"]\n";
    EXPECT_EQ(
        told(keys + "key_types = [\"ssh-rsa\"]\n", keys + "key_types = [\"ssh-ed25519\", \"ssh-rsa\"]\n"),
        "wider guest-ssh-add-authorized-keys user=bob key=ssh-ed25519 key_types\n");
    EXPECT_EQ(
        told(keys + "key_types = \"any\"\nmax_keys = 5\n", keys + "key_types = \"any\"\nmax_keys = 6\n"),
        "wider guest-ssh-add-authorized-keys user=bob max_keys 5 -> 6\n"
        "wider guest-ssh-add-authorized-keys user=bob key=other-type count=6 max_keys\n");
}

TEST(Diff, OfClockAndProcessorsTheBoundsAreTold) {
    const std::string time = "[[allow]]\nid = \"a\"\ncommands = [\"guest-set-time\"]\ntime = { max_step = ";
    EXPECT_EQ(told(time + "\"5m\" }\n", time + "\"6m\" }\n"),
              "wider guest-set-time max_step 300000 -> 360000\n"
              "wider guest-set-time step=300001ms max_step\n");
    const std::string cpus = "[[allow]]\nid = \"a\"\ncommands = [\"guest-set-vcpus\"]\nvcpus = { cpus = ";
    EXPECT_EQ(told(cpus + "\"1-3\", min_online = 1 }\n", cpus + "\"1-3\", min_online = 2 }\n"),
              "narrower guest-set-vcpus min_online 1 -> 2\n");
    EXPECT_EQ(told(cpus + "\"1-3\", min_online = 1 }\n", cpus + "\"1-4\", min_online = 1 }\n"),
              "wider guest-set-vcpus cpus=4 cpus\n");
}

// Beside a rule that takes every processor another one counts for some of them.
TEST(Diff, WhichOfTwoRulesCountsIsTold) {
    const auto rules = [](const std::string& cpus) {
        const std::string head = "commands = [\"guest-set-vcpus\"]\nvcpus = { cpus = \"";
        return "[[allow]]\nid = \"a\"\n" + head + "any\", min_online = 2 }\n[[allow]]\nid = \"b\"\n" + head +
               cpus + "\", min_online = 1 }\n";
    };
    EXPECT_EQ(told(rules("0-3"), rules("0-2")), "narrower guest-set-vcpus cpus=3 min_online 1 -> 2\n");
    const auto keys = [](const std::string& types) {
        const std::string head =
            "commands = [\"guest-ssh-add-authorized-keys\"]\nmax_keys = 10000\nreset = true\nusers = ";
        return "[[allow]]\nid = \"a\"\n" + head + "\"any\"\nkey_types = \"any\"\n[[allow]]\nid = \"b\"\n" +
               head + "[\"bob\"]\nkey_types = " + types + "\n";
    };
    EXPECT_EQ(told(keys("[\"ssh-rsa\", \"ssh-ed25519\"]"), keys("[\"ssh-rsa\"]")),
              "wider guest-ssh-add-authorized-keys user=bob key=ssh-ed25519 users by name -> any\n");
}

// Each of these lets one thing be done, and none both.
TEST(Diff, TwoRulesAreNotOneThatTakesBoth) {
    const auto rule = [](const std::string& id, const std::string& blocks) {
        return "[[allow]]\nid = \"" + id +
               "\"\ncommands = [\"guest-set-memory-blocks\"]\nmemory = { blocks = \"" + blocks + "\" }\n";
    };
    EXPECT_EQ(told(rule("a", "0-9"), rule("a", "0-4") + rule("b", "5-9")),
              "narrower guest-set-memory-blocks blocks=0,5 blocks\n");
}

TEST(Diff, WhatHasExpiredIsNoDifference) {
    const std::string rule = "[[allow]]\nid = \"a\"\ncommands = [\"guest-get-time\"]\nexpires = ";
    const Policy nothing = policy_of("");
    EXPECT_TRUE(differences(policy_of(rule + show_time(kFirst) + "\n"), nothing, kFirst).empty());
    EXPECT_EQ(differences(policy_of(rule + show_time(kFirst + 1) + "\n"), nothing, kFirst).size(), 1U);
}

TEST(Diff, WhoMayConnectAndALogThatMayBeLostAreTold) {
    const Policy before = policy_of("peers = { uids = [1, 2] }\n");
    const Policy after = policy_of("peers = { uids = [2, 3] }\naudit = { on_loss = \"go on\" }\n");
    const auto found = other_differences(before, after);
    ASSERT_EQ(found.size(), 3U);
    EXPECT_EQ(found[0].text, "user 3 may connect");
    EXPECT_EQ(found[1].direction, Direction::kNarrower);
    EXPECT_EQ(found[2].text, "what cannot be recorded is carried out all the same");
}

}  // namespace
}  // namespace sallyport::policy::analyse
