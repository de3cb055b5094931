// What a policy says of itself is proved, or broken by a request.
#include "policy/tool/analyse/never.hpp"

#include <gtest/gtest.h>

#include "policy/tool/analyse/decider.hpp"
#include "policy/tool/compile/compile.hpp"
#include "tests/unit/policy/random_policy.hpp"

namespace sallyport::policy::analyse {
namespace {

std::string problems_of(const std::string& rules) {
    const std::string text = "schema = 1\n" + rules;
    const auto compiled = compile::compile_with_nevers(
        {.text = text,
         .name = "p.toml",
         .passwd = "root:x:0:0:::\ntoor:x:0:0:::\nalice:x:1000:1000:::\nnobody:x:65534:65534:::\n",
         .group = "root:x:0:\n"});
    return compiled ? "" : compiled.error();
}

const std::string kAllow =
    "[[allow]]\nid = \"a\"\ncommands = [\"@file\"]\nfiles = [{ under = \"/srv\", access = [\"read\"] }]\n";
const std::string kNever = "[[never]]\nid = \"n\"\n";

TEST(Never, WhatIsPossibleIsAnErrorWithARequestAtTheRule) {
    EXPECT_EQ(
        problems_of(kAllow + kNever + "files = [{ under = \"/srv/keys\" }]\n"),
        "p.toml:6:1: error: never rule 'n' (p.toml:6) is broken: rule 'a' (p.toml:2) allows guest-file-open "
        "path=/srv/keys/file mode=r kind=regular owner=0 size=0\n");
}

TEST(Never, WhatADenyRuleOrTheAccessKeepsAwayIsProved) {
    const std::string deny = "[[deny]]\nid = \"d\"\nfiles = [{ under = \"/srv/keys\" }]\n";
    EXPECT_EQ(problems_of(kAllow + deny + kNever + "files = [{ under = \"/srv/keys\" }]\n"), "");
    EXPECT_EQ(problems_of(kAllow + kNever + "files = [{ under = \"/\", access = [\"write\"] }]\n"), "");
    EXPECT_EQ(problems_of(kAllow + kNever + "commands = [\"@exec\", \"@power\"]\n"), "");
}

TEST(Never, ADenyRuleThatExpiresProvesNothing) {
    const std::string deny =
        "[[deny]]\nid = \"d\"\nexpires = 2030-01-01T00:00:00Z\nfiles = [{ under = \"/srv/keys\" }]\n";
    const std::string problems =
        problems_of(kAllow + deny + kNever + "files = [{ under = \"/srv/keys\" }]\n");
    EXPECT_NE(problems.find("is broken"), problems.npos);
}

TEST(Never, AnIncludedProfileIsHeldToItAndCannotRemoveIt) {
    const std::string problems =
        problems_of("include = [\"profile:compat\"]\n" + kNever + "commands = [\"guest-exec\"]\n");
    EXPECT_NE(problems.find("rule 'compat-exec' (profile:compat:"), problems.npos) << problems;
}

TEST(Never, ModesAndProgramsAndWhomTheyRunAs) {
    const std::string power =
        "[[allow]]\nid = \"p\"\ncommands = [\"guest-shutdown\"]\nmodes = [\"reboot\"]\n";
    EXPECT_EQ(problems_of(power + kNever + "commands = [\"guest-shutdown\"]\nmodes = [\"halt\"]\n"), "");
    EXPECT_NE(
        problems_of(power + kNever + "commands = [\"guest-shutdown\"]\nmodes = [\"halt\", \"reboot\"]\n"),
        "");
    const std::string exec =
        "[[allow]]\nid = \"e\"\ncommands = [\"guest-exec\"]\n[[allow.exec]]\nprogram = \"/bin/a\"\nargs = "
        "[]\nrun_as = \"nobody\"\n";
    EXPECT_EQ(problems_of(exec + kNever + "exec = { programs = [\"/bin/sh\"] }\n"), "");
    EXPECT_EQ(problems_of(exec + kNever + "exec = { run_as = [\"root\"] }\n"), "");
    EXPECT_EQ(problems_of(exec + kNever + "exec = { programs = [\"/bin/a\"], run_as = [\"root\"] }\n"), "");
    EXPECT_NE(problems_of(exec + kNever + "exec = { programs = [\"/bin/a\"] }\n"), "");
    EXPECT_NE(problems_of(exec + kNever + "exec = { run_as = [\"nobody\"] }\n"), "");
    EXPECT_NE(
        problems_of("include = \"profile:compat\"\n" + kNever + "exec = { programs = [\"/bin/sh\"] }\n"), "");
}

TEST(Never, MistakesInItAreNamed) {
    EXPECT_EQ(problems_of(kNever), "p.toml:2:1: error: never rule 'n' needs 'commands' or 'files'\n");
    EXPECT_EQ(
        problems_of(kNever + "commands = [\"guest-ping\"]\n"),
        "p.toml:4:13: error: 'guest-ping' cannot be denied by a rule, only by the option --block-rpcs\n");
    EXPECT_EQ(problems_of(kNever + "commands = [\"@file\"]\nexpires = 2030-01-01T00:00:00Z\n"),
              "p.toml:5:1: error: unknown key 'expires' in a never rule; expected 'id', 'why', "
              "'commands', 'files', 'modes', 'exec' or 'users'\n");
    EXPECT_EQ(problems_of(kNever + "exec = {}\n"),
              "p.toml:4:8: error: 'exec' of a never rule needs 'programs' or 'run_as'\n");
}

TEST(Never, UsersWhosePasswordAndKeysNobodyTouches) {
    const std::string password =
        "[[allow]]\nid = \"p\"\ncommands = [\"guest-set-user-password\"]\ncrypted = \"only\"\nusers = ";
    const std::string never = kNever + "users = [\"root\"]\n";
    EXPECT_EQ(problems_of(password + "[\"alice\", \"root\"]\n" + never),
              "p.toml:7:1: error: never rule 'n' (p.toml:7) is broken: rule 'p' (p.toml:2) allows "
              "guest-set-user-password user=root crypted=yes\n");
    EXPECT_EQ(problems_of(password + "\"any\"\n" + never), "");
    EXPECT_EQ(problems_of(password + "[\"alice\"]\n" + never), "");
    EXPECT_NE(problems_of(password + "\"any\"\n" + kNever + "users = [\"alice\"]\n"), "");
    EXPECT_NE(problems_of("include = \"profile:compat\"\n" + never), "");
    const std::string keys = "commands = [\"guest-ssh-add-authorized-keys\"]\n";
    EXPECT_EQ(problems_of(password + "[\"root\"]\n" + never + keys), "");
}

TEST(Never, AUserIsMeantByEachOfHisNames) {
    EXPECT_NE(problems_of("[[allow]]\nid = \"p\"\ncommands = [\"guest-ssh-get-authorized-keys\"]\nusers = "
                          "[\"toor\"]\n" +
                          kNever + "users = [\"root\"]\n"),
              "");
}

TEST(Never, WhatAHostSetsIsMeantByItsCommands) {
    const std::string rule =
        "[[allow]]\nid = \"h\"\ncommands = [\"guest-set-vcpus\"]\nvcpus = { min_online = 1, cpus = \"3\" }\n";
    EXPECT_EQ(problems_of(rule + kNever + "commands = [\"guest-set-time\", \"@accounts\"]\n"), "");
    EXPECT_EQ(problems_of(rule + kNever + "commands = [\"@hardware\"]\n"),
              "p.toml:6:1: error: never rule 'n' (p.toml:6) is broken: rule 'h' (p.toml:2) allows "
              "guest-set-vcpus\n");
}

TEST(Never, MistakesInUsersAreNamed) {
    EXPECT_EQ(problems_of(kNever + "users = [\"alcie\"]\n"),
              "p.toml:4:10: error: no user 'alcie' in /etc/passwd; did you mean 'alice'?\n");
    EXPECT_EQ(problems_of(kNever + "users = [\"root\"]\ncommands = [\"guest-exec\"]\n"),
              "p.toml:5:13: error: a never rule with 'users' is about commands of @accounts, and "
              "'guest-exec' is none\n");
    EXPECT_EQ(problems_of(kNever + "users = [\"root\"]\nfiles = [{ under = \"/\" }]\n"),
              "p.toml:5:9: error: a never rule with 'users' is about @accounts and has no 'files'\n");
    EXPECT_EQ(problems_of(kNever + "exec = { run_as = [\"root\"] }\nusers = [\"root\"]\n"),
              "p.toml:5:9: error: a never rule with 'exec' is about guest-exec and has no 'users'\n");
}

// A never rule holds if no request at random that its deny rule would refuse is allowed; a breach is always real.
TEST(Never, AgreesWithTryingAndEachBreachIsReal) {
    random::Source source(30);
    int broken = 0, held = 0;
    for (int number = 0; number < 2000; ++number) {
        const Policy policy = random::policy(source, 1 + source.below(5));
        const auto denying = random::compiled(random::text_of({source.deny_rule("n")}));
        if (!denying || denying->rules.front().expires) continue;
        const Decider decider(policy);
        const auto found = breaches(policy, {{.rule = denying->rules.front(), .programs = {}, .run_as = {}}});
        Policy guarded = policy;
        guarded.rules.push_back(denying->rules.front());
        const Decider guard(guarded);
        for (const Breach& breach : found) {
            ASSERT_TRUE(decider.decide(breach.request).is_allowed());
            ASSERT_FALSE(guard.decide(breach.request).is_allowed());
        }
        (found.empty() ? held : broken)++;
        for (int at = 0; at < 100 && found.empty(); ++at) {
            const Request request = source.request();
            ASSERT_EQ(decider.decide(request).is_allowed(), guard.decide(request).is_allowed());
        }
    }
    EXPECT_GT(broken, 100);
    EXPECT_GT(held, 100);
}

TEST(Never, OfUsersAgreesWithTryingAndEachBreachIsReal) {
    random::Source source(31);
    Never never{.rule = {.id = "n"}};
    for (const Command& row : kCommands)
        if (row.constraint == Constraint::kUsers) never.rule.commands.add(row.id);
    never.users.emplace_back().set_name("alice");
    never.users.front().set_uid(1000);
    int broken = 0, held = 0;
    for (int number = 0; number < 1000; ++number) {
        const Policy policy = random::policy(source, 1 + source.below(6));
        const Decider decider(policy);
        const auto found = breaches(policy, {never});
        for (const Breach& breach : found) {
            ASSERT_TRUE(decider.decide(breach.request).is_allowed());
            ASSERT_EQ(breach.request.account.user, "alice");
        }
        (found.empty() ? held : broken)++;
        for (int at = 0; at < 100 && found.empty(); ++at) {
            const Request request = source.request();
            const bool is_meant = never.rule.commands.has(request.command) && request.account.user == "alice";
            ASSERT_FALSE(is_meant && decider.decide(request).is_allowed());
        }
    }
    EXPECT_GT(broken, 100);
    EXPECT_GT(held, 100);
}

}  // namespace
}  // namespace sallyport::policy::analyse
