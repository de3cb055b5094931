// Rules that only dry-run decide nothing, and with them enforced the policy is the one without `enforce = false`.
#include <gtest/gtest.h>

#include "policy/tool/analyse/decider.hpp"
#include "policy/tool/analyse/diff.hpp"
#include "policy/tool/analyse/words.hpp"
#include "policy/tool/compile/compile.hpp"
#include "policy/tool/compile/effective.hpp"
#include "policy/tool/compile/format.hpp"
#include "tests/unit/policy/random_policy.hpp"

namespace sallyport::policy {
namespace {

using analyse::Decider;
using random::kGroup;
using random::kPasswd;

const std::string kEnd = "expires = 2030-01-31T00:00:00Z\n";
const std::string kDry = "enforce = false\n";
const std::string kLoad = "id = \"load\"\ncommands = [\"guest-get-load\"]\n";

std::expected<compile::Compilation, std::string> compiled(const std::string& text) {
    return compile::compile_with_nevers({.text = text, .name = "p.toml", .passwd = kPasswd, .group = kGroup});
}

std::string problems_of(const std::string& rules) {
    const auto done = compiled("schema = 1\n" + rules);
    return done ? "" : done.error();
}

Policy loaded(const std::string& text) {
    const auto done = compiled(text);
    EXPECT_TRUE(done) << done.error() << text;
    auto policy = load(done->policy.SerializeAsString());
    EXPECT_TRUE(policy) << text;
    return *std::move(policy);
}

/// The rule as one that dry-runs, and as one that is enforced and ends at the same time.
std::pair<std::string, std::string> both(const std::string& rule) {
    const std::size_t end = rule.find('\n') + 1;
    const std::string head = rule.substr(0, end) + (rule.contains("\nexpires = ") ? "" : kEnd);
    return {head + kDry + rule.substr(end), head + rule.substr(end)};
}

TEST(DryRun, NeedsAnEnd) {
    EXPECT_EQ(problems_of("[[allow]]\nenforce = false\n" + kLoad),
              "p.toml:3:11: error: a rule with 'enforce = false' only dry-runs, and needs an end: expires = "
              "2030-01-31T00:00:00Z\n");
    EXPECT_EQ(problems_of("[[allow]]\nenforce = \"no\"\n" + kLoad),
              "p.toml:3:11: error: 'enforce' must be true or false, not a string\n");
    EXPECT_EQ(problems_of("[[allow]]\nenforce = false\n" + kEnd + kLoad), "");
    EXPECT_EQ(problems_of("[[allow]]\nenforce = true\n" + kLoad), "");
    const std::string never =
        problems_of("[[never]]\n" + kDry + kEnd + "id = \"n\"\ncommands = [\"@exec\"]\n");
    EXPECT_NE(never.find("unknown key 'enforce' in a never rule"), never.npos) << never;
}

TEST(DryRun, TheLoaderTakesNoneWithoutAnEndAndNoIdTwice) {
    auto done = compiled("schema = 1\n[[allow]]\n" + kDry + kEnd + kLoad);
    ASSERT_TRUE(done) << done.error();
    compiled::Compiled policy = done->policy;
    ASSERT_EQ(policy.rules_size(), 0);
    ASSERT_EQ(policy.dry_runs_size(), 1);
    EXPECT_TRUE(load(policy.SerializeAsString()));
    compiled::Compiled endless = policy;
    endless.mutable_dry_runs(0)->clear_expires();
    EXPECT_FALSE(load(endless.SerializeAsString()));
    *policy.add_rules() = policy.dry_runs(0);
    EXPECT_FALSE(load(policy.SerializeAsString()));
    const std::string twice = problems_of("[[allow]]\n" + kDry + kEnd + kLoad + "[[deny]]\n" + kLoad);
    EXPECT_NE(twice.find("id 'load' is already used at p.toml:2"), twice.npos) << twice;
}

TEST(DryRun, AnAllowRuleThatANeverRuleForbidsIsAnErrorAndADenyRuleProvesNothing) {
    const std::string never = "[[never]]\nid = \"n\"\ncommands = [\"guest-get-load\"]\n";
    const std::string broken = problems_of("[[allow]]\n" + kDry + kEnd + kLoad + never);
    EXPECT_NE(broken.find("is broken: rule 'load' (p.toml:2)"), broken.npos) << broken;
    const std::string open = "[[allow]]\nid = \"a\"\ncommands = [\"guest-get-load\"]\n";
    EXPECT_NE(problems_of(open + "[[deny]]\n" + kDry + kEnd + kLoad + never), "");
}

TEST(DryRun, DecidesNothingAndMeansWhatTheRuleWouldIfItWereEnforced) {
    random::Source source(14);
    int differing = 0;
    for (int number = 0; number < 300; ++number) {
        std::vector<std::string> without, dry, enforced;
        for (const std::string& rule : source.rules(2 + source.below(5))) {
            const auto [tried, real] = both(rule);
            const bool is_dry = source.chance(40);
            dry.push_back(is_dry ? tried : rule);
            enforced.push_back(is_dry ? real : rule);
            if (!is_dry) without.push_back(rule);
        }
        if (!compiled(random::text_of(enforced)) || !compiled(random::text_of(without))) continue;
        const Policy policy = loaded(random::text_of(dry));
        const Policy bare = loaded(random::text_of(without));
        const Policy whole = loaded(random::text_of(enforced));
        const Policy tried = with_dry_runs(policy);
        const Decider by_policy(policy), by_bare(bare), by_whole(whole), by_tried(tried);
        for (int asked = 0; asked < 60; ++asked) {
            const analyse::Request request = source.request();
            const std::string line = line_of(request, true) + "\n" + random::text_of(dry);
            const bool is_allowed = by_bare.decide(request).is_allowed();
            ASSERT_EQ(by_policy.decide(request).is_allowed(), is_allowed) << line;
            ASSERT_EQ(by_tried.decide(request).is_allowed(), by_whole.decide(request).is_allowed()) << line;
            differing += by_tried.decide(request).is_allowed() != is_allowed ? 1 : 0;
        }
        EXPECT_EQ(reach_of(policy).commands, reach_of(bare).commands);
    }
    EXPECT_GT(differing, 200);
}

TEST(DryRun, IsNoGrantAndNoDenialToDiff) {
    const std::string open = "schema = 1\n[[allow]]\nid = \"a\"\ncommands = [\"@inspect\"]\n";
    const Policy before = loaded(open);
    const Policy after = loaded(open + "[[allow]]\n" + kDry + kEnd +
                                "id = \"t\"\ncommands = [\"@power\"]\nmodes = [\"halt\"]\n" + "[[deny]]\n" +
                                kDry + kEnd + kLoad);
    ASSERT_EQ(after.dry_runs.size(), 2U);
    EXPECT_TRUE(analyse::differences(before, after, 0).empty());
    EXPECT_FALSE(analyse::differences(before, with_dry_runs(after), 0).empty());
}

TEST(DryRun, TheEffectiveTextAndTheLaidOutOneSayIt) {
    const std::string text = "schema = 1\n[[allow]]\n" + kDry + kEnd + kLoad;
    const auto before = compiled(text);
    ASSERT_TRUE(before);
    const auto after = compiled(compile::effective_text(*before, compile::Passwd(kPasswd, kGroup)));
    ASSERT_TRUE(after) << after.error();
    EXPECT_EQ(after->policy.dry_runs_size(), 1);
    EXPECT_EQ(after->policy.rules_size(), 0);
    EXPECT_EQ(after->policy.dry_runs(0).expires(), before->policy.dry_runs(0).expires());
    const auto laid_out = compile::format("schema=1\n[[allow]]\nenforce=false\n" + kEnd + kLoad, "p.toml");
    ASSERT_TRUE(laid_out) << laid_out.error();
    EXPECT_NE(laid_out->find("\nenforce = false\n"), laid_out->npos) << *laid_out;
}

}  // namespace
}  // namespace sallyport::policy
