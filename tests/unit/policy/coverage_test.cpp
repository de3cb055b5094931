// What a set of requests tries of a policy, and rules that make no difference.
#include "policy/tool/analyse/coverage.hpp"

#include <gtest/gtest.h>

#include <algorithm>

#include "policy/tool/analyse/dead.hpp"
#include "policy/tool/analyse/decider.hpp"
#include "policy/tool/analyse/diff.hpp"
#include "policy/tool/analyse/words.hpp"
#include "tests/unit/policy/random_policy.hpp"

namespace sallyport::policy::analyse {
namespace {

using random::kFirst;

const std::string kExport =
    "schema = 1\n[[allow]]\nid = \"a\"\ncommands = [\"guest-file-open\"]\n"
    "files = [{ under = \"/srv\", access = [\"read\"], max_size = 10 }, { under = \"/d\", access = "
    "[\"read\"] }]\n";

std::vector<std::string> keys_of(const std::vector<Part>& parts) {
    std::vector<std::string> keys;
    for (const Part& part : parts)
        keys.push_back(std::to_string(part.entry) + " " +
                       std::string(part.feature != nullptr ? part.feature->key : "-"));
    return keys;
}

TEST(Coverage, ARequestTriesWhatItTurnsOn) {
    const auto policy = random::compiled(kExport);
    ASSERT_TRUE(policy);
    const auto all = parts_of(*policy);
    EXPECT_EQ(keys_of(all),
              (std::vector<std::string>{"0 -", "0 under", "0 access", "0 kinds", "0 symlinks", "0 links",
                                        "0 setid", "0 max_size", "1 -", "1 under", "1 access", "1 kinds",
                                        "1 symlinks", "1 links", "1 setid"}));
    const auto request = read_words({"guest-file-open", "path=/srv/a", "size=11"}, {});
    const auto allowed = read_words({"guest-file-open", "path=/d/a"}, {});
    ASSERT_TRUE(request && allowed);
    const auto left = keys_of(untried(*policy, {*request, *allowed}));
    EXPECT_EQ(left.size(), all.size() - 4);
    for (const char* key : {"0 max_size", "1 -", "1 under", "0 under"})
        EXPECT_EQ(std::ranges::count(left, key), 0) << key;
}

TEST(Coverage, WithoutAPartIsWhatIsSaid) {
    const auto policy = random::compiled(kExport);
    ASSERT_TRUE(policy);
    const auto parts = parts_of(*policy);
    EXPECT_EQ(without(*policy, parts[8]).rules.front().files.size(), 1U);
    EXPECT_FALSE(without(*policy, parts[7]).rules.front().files.front().max_size);
    EXPECT_EQ(without(without(*policy, parts[8]), parts[0]).rules.size(), 0U);
}

// Whatever of a policy makes a difference at all, one of the complete requests notices when it is gone.
TEST(Coverage, TheCompleteRequestsNoticeEveryMutant) {
    random::Source source(40);
    int mutants = 0;
    for (int number = 0; number < 150; ++number) {
        const Policy policy = random::policy(source, 1 + source.below(4));
        const auto requests = complete_requests(policy, kFirst);
        const Decider decider(policy);
        for (const Part& part : parts_of(policy)) {
            const Policy mutant = without(policy, part);
            const auto found = differences(policy, mutant, kFirst);
            const auto is_of_verdict = [](const Difference& one) { return one.terms.empty(); };
            if (std::ranges::none_of(found, is_of_verdict)) continue;
            ++mutants;
            const Decider other(mutant);
            const bool is_noticed = std::ranges::any_of(requests, [&](const Request& request) {
                return decider.decide(request).is_allowed() != other.decide(request).is_allowed();
            });
            const Feature* feature = part.feature;
            ASSERT_TRUE(is_noticed) << policy.rules[part.rule].where << " "
                                    << (feature != nullptr ? feature->key : "-") << " "
                                    << line_of(found.front().witness, true);
        }
    }
    EXPECT_GT(mutants, 500);
}

std::string dead_of(const std::string& rules) {
    const auto policy = random::compiled("schema = 1\n" + rules);
    EXPECT_TRUE(policy);
    std::string text;
    if (!policy) return text;
    for (const DeadPart& dead : dead_parts(*policy, kFirst)) {
        text += policy->rules[dead.part.rule].id + ":" + std::to_string(dead.part.entry) + " " +
                std::to_string(static_cast<int>(dead.why));
        for (const std::size_t by : dead.by) text += " " + policy->rules[by].id;
        text += "\n";
    }
    return text;
}

std::string allow_under(const std::string& id, const std::string& directory, const std::string& more = "") {
    return "[[allow]]\nid = \"" + id + "\"\ncommands = [\"@file\"]\nfiles = [{ under = \"" + directory +
           "\", access = [\"read\"]" + more + " }]\n";
}

std::string deny_under(const std::string& id, const std::string& directory) {
    return "[[deny]]\nid = \"" + id + "\"\nfiles = [{ under = \"" + directory + "\" }]\n";
}

TEST(Dead, AnAllowRuleOfWhichAllIsDenied) {
    EXPECT_EQ(dead_of(allow_under("a", "/a/b") + deny_under("d", "/a")), "a:0 0 d\n");
    EXPECT_EQ(dead_of(allow_under("a", "/a") + deny_under("d", "/a/b")), "");
}

TEST(Dead, AnAllowRuleThatAnotherCovers) {
    EXPECT_EQ(dead_of(allow_under("a", "/a/b") + allow_under("b", "/a")), "a:0 1 b\n");
    // A file that one of them lets grow is not carried out alike.
    EXPECT_EQ(dead_of(allow_under("a", "/a/b", ", max_size = 5") + allow_under("b", "/a")), "");
}

TEST(Dead, ADenyRuleThatAnotherCovers) {
    EXPECT_EQ(dead_of(allow_under("a", "/") + deny_under("d", "/a") + deny_under("e", "/a/b")), "e:0 2 d\n");
}

TEST(Dead, WhatHasExpiredIsNothingToWarnOf) {
    EXPECT_EQ(
        dead_of(allow_under("a", "/a") + "expires = " + show_time(kFirst) + "\n" + deny_under("d", "/b")),
        "");
}

TEST(Dead, ARuleThatOutlivesWhatDeniesItIsNotDead) {
    const std::string deny =
        "[[deny]]\nid = \"d\"\nexpires = " + show_time(kFirst + 10) + "\nfiles = [{ under = \"/a\" }]\n";
    EXPECT_EQ(dead_of(allow_under("a", "/a") + deny), "");
}

std::string allow_keys(const std::string& id, const std::string& users, const std::string& more) {
    return "[[allow]]\nid = \"" + id +
           "\"\ncommands = [\"guest-ssh-add-authorized-keys\"]\nusers = " + users + "\n" + more + "\n";
}

std::string allow_password(const std::string& id, const std::string& users, const std::string& crypted) {
    return "[[allow]]\nid = \"" + id + "\"\ncommands = [\"guest-set-user-password\"]\nusers = " + users +
           "\ncrypted = \"" + crypted + "\"\n";
}

std::string allow_cpus(const std::string& id, const std::string& cpus, int min_online) {
    return "[[allow]]\nid = \"" + id +
           "\"\ncommands = [\"guest-set-vcpus\"]\nvcpus = { min_online = " + std::to_string(min_online) +
           ", cpus = \"" + cpus + "\" }\n";
}

std::string allow_time(const std::string& id, const std::string& max_step) {
    return "[[allow]]\nid = \"" + id + "\"\ncommands = [\"guest-set-time\"]\ntime = { max_step = \"" +
           max_step + "\" }\n";
}

const std::string kEd25519 = "key_types = [\"ssh-ed25519\"]";

TEST(Dead, NoRuleOfTheCompatProfileIs) {
    const auto policy = random::compiled("schema = 1\ninclude = \"profile:compat\"\n");
    ASSERT_TRUE(policy);
    EXPECT_TRUE(dead_parts(*policy, kFirst).empty());
}

TEST(Dead, RulesForOtherUsersOrOtherKeysAreNot) {
    EXPECT_EQ(dead_of(allow_keys("a", "[\"alice\"]", kEd25519) + allow_keys("b", "[\"bob\"]", kEd25519)), "");
    EXPECT_EQ(dead_of(allow_keys("a", "\"any\"", kEd25519) + allow_keys("b", "[\"root\"]", kEd25519)), "");
    EXPECT_EQ(dead_of(allow_keys("a", "[\"bob\"]", kEd25519 + "\nrequire = [\"restrict\"]") +
                      allow_keys("b", "[\"bob\"]", kEd25519)),
              "");
    EXPECT_EQ(dead_of(allow_keys("a", "[\"bob\"]", kEd25519 + "\nmax_keys = 5\nreset = true") +
                      allow_keys("b", "[\"bob\"]", kEd25519)),
              "");
}

TEST(Dead, ARuleOfWhichAnotherLetsMoreBeDoneToTheSameUsers) {
    EXPECT_EQ(dead_of(allow_keys("a", "[\"bob\"]", kEd25519 + "\nmax_keys = 5") +
                      allow_keys("b", "\"any\"", kEd25519)),
              "a:0 1 b\n");
    EXPECT_EQ(dead_of(allow_keys("a", "[\"bob\"]", kEd25519) + allow_keys("b", "\"any\"", kEd25519)), "");
    EXPECT_EQ(dead_of(allow_password("a", "[\"bob\"]", "only") + allow_password("b", "[\"bob\"]", "any")),
              "a:0 1 b\n");
    EXPECT_EQ(dead_of(allow_password("a", "[\"bob\"]", "any") + allow_password("b", "[\"bob\"]", "only")),
              "b:0 1 a\n");
}

// Of several rules that cover a request the one counts that says least.
TEST(Dead, ABoundBesideOneThatSaysLess) {
    EXPECT_EQ(dead_of(allow_cpus("a", "0-3", 2) + allow_cpus("b", "0-7", 1)), "a:0 1 b\n");
    EXPECT_EQ(dead_of(allow_cpus("a", "0-7", 2) + allow_cpus("b", "0-3", 1)), "");
    EXPECT_EQ(dead_of(allow_time("a", "5m") + allow_time("b", "1h")), "a:0 1 b\n");
    EXPECT_EQ(dead_of(allow_time("a", "any") + allow_time("b", "1h")), "b:0 1 a\n");
}

// What is called dead can go, one at a time, and no request is answered otherwise.
TEST(Dead, WithoutADeadPartNothingChanges) {
    random::Source source(41);
    int dead_ones = 0;
    for (int number = 0; number < 600; ++number) {
        const Policy policy = random::policy(source, 2 + source.below(5));
        for (const DeadPart& dead : dead_parts(policy, kFirst)) {
            ++dead_ones;
            for (const Difference& one : differences(policy, without(policy, dead.part), kFirst)) {
                const bool is_entry = dead.part.subject != Subject::kPlain;
                const Subject subject = subject_of(one.witness.command);
                // With the entry goes what goes along with the rule.
                const bool is_about_it = !is_entry || subject == dead.part.subject;
                ASSERT_FALSE(is_about_it && one.terms.empty()) << line_of(one.witness, true);
            }
        }
    }
    EXPECT_GT(dead_ones, 100);
}

}  // namespace
}  // namespace sallyport::policy::analyse
