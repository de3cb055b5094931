// Why a request is answered as it is.
#include "policy/tool/analyse/explain.hpp"

#include <gtest/gtest.h>

#include "policy/tool/analyse/words.hpp"
#include "policy/tool/compile/locate.hpp"
#include "tests/unit/policy/random_policy.hpp"

namespace sallyport::policy::analyse {
namespace {

constexpr const char* kExport =
    "schema = 1\n[[allow]]\nid = \"export\"\ncommands = [\"@file\"]\n"
    "files = [{ under = \"/srv/export\", access = [\"read\"], max_size = 100 }]\n"
    "[[deny]]\nid = \"keys\"\nfiles = [{ under = \"/srv/export/keys\" }]\n";

Request request_of(const std::vector<std::string>& words) {
    const auto request = read_words(words, {.time = random::kFirst});
    EXPECT_TRUE(request);
    return request.value_or(Request{});
}

TEST(Explain, ANearMissNamesTheOneThingThatFailed) {
    const auto policy = random::compiled(kExport);
    ASSERT_TRUE(policy);
    const auto found = explain(*policy, request_of({"guest-file-open", "path=/srv/export/a", "size=101"}));
    EXPECT_FALSE(found.outcome.is_allowed());
    ASSERT_EQ(found.near.size(), 1U);
    EXPECT_EQ(found.near.front().missed.front()->key, "max_size");
}

TEST(Explain, TheRemedyNamesDenyRulesAndLimits) {
    const auto policy = random::compiled(kExport);
    ASSERT_TRUE(policy);
    const auto found = explain(*policy, request_of({"guest-file-open", "path=/srv/export/keys/a", "mode=w"}));
    ASSERT_TRUE(found.remedy && found.remedy->limits);
    ASSERT_EQ(found.remedy->denials.size(), 1U);
    EXPECT_EQ(found.remedy->denials.front().of->id, "keys");
    ASSERT_EQ(found.remedy->limits->missed.size(), 1U);
    EXPECT_EQ(found.remedy->limits->missed.front()->key, "access");
}

TEST(Explain, OfPasswordsKeysAndHardwareTheKeyThatFailedIsNamed) {
    const auto policy = random::compiled(
        "schema = 1\n[[allow]]\nid = \"k\"\ncommands = [\"@accounts\"]\nusers = [\"alice\"]\ncrypted = "
        "\"only\"\n"
        "key_types = [\"ssh-ed25519\"]\nmax_keys = 2\n[[allow]]\nid = \"h\"\ncommands = [\"@hardware\"]\n"
        "time = { max_step = \"5m\" }\nvcpus = { min_online = 1, cpus = \"1-3\" }\nmemory = { blocks = "
        "\"8-9\" }\n");
    ASSERT_TRUE(policy);
    const std::vector<std::pair<std::vector<std::string>, std::string>> all{
        {{"guest-ssh-get-authorized-keys", "user=root"}, "users"},
        {{"guest-set-user-password", "user=alice"}, "crypted"},
        {{"guest-ssh-add-authorized-keys", "user=alice", "key=ssh-rsa"}, "key_types"},
        {{"guest-ssh-add-authorized-keys", "user=alice", "key=ssh-ed25519", "count=3"}, "max_keys"},
        {{"guest-ssh-add-authorized-keys", "user=alice", "reset=yes"}, "reset"},
        {{"guest-set-time", "step=-301s"}, "max_step"},
        {{"guest-set-vcpus", "cpus=0,1"}, "cpus"},
        {{"guest-set-memory-blocks", "blocks=10"}, "blocks"}};
    for (const auto& [words, key] : all) {
        const auto found = explain(*policy, request_of(words));
        EXPECT_FALSE(found.outcome.is_allowed()) << key;
        ASSERT_EQ(found.near.size(), 1U) << key;
        EXPECT_EQ(found.near.front().missed.front()->key, key);
        ASSERT_TRUE(found.remedy && found.remedy->limits) << key;
    }
}

TEST(Explain, SaysWhatTheDecisionSaysAndItsRemedyIsOne) {
    random::Source source(20);
    int remedies = 0;
    for (int number = 0; number < 300; ++number) {
        const Policy policy = random::policy(source, 1 + source.below(6));
        const Decider decider(policy);
        for (int at = 0; at < 100; ++at) {
            const Request request = source.request();
            const auto found = explain(policy, request);
            const Outcome outcome = decider.decide(request);
            ASSERT_EQ(found.outcome.why, outcome.why);
            ASSERT_EQ(found.outcome.rule, outcome.rule);
            if (outcome.is_allowed() || !found.remedy) continue;
            ++remedies;
            const Policy changed = apply(policy, *found.remedy);
            ASSERT_TRUE(Decider(changed).decide(request).is_allowed()) << line_of(request, true);
        }
    }
    EXPECT_GT(remedies, 1000);
}

// Fewer of the same changes would not do.
TEST(Explain, EachChangeOfARemedyIsNeeded) {
    random::Source source(21);
    for (int number = 0; number < 300; ++number) {
        const Policy policy = random::policy(source, 1 + source.below(6));
        for (int at = 0; at < 50; ++at) {
            const Request request = source.request();
            const auto remedy = explain(policy, request).remedy;
            if (!remedy || !remedy->limits) continue;
            for (std::size_t left_out = 0; left_out < remedy->limits->missed.size(); ++left_out) {
                Remedy less = *remedy;
                less.limits->missed.erase(less.limits->missed.begin() +
                                          static_cast<std::ptrdiff_t>(left_out));
                const Policy changed = apply(policy, less);
                ASSERT_FALSE(Decider(changed).decide(request).is_allowed()) << line_of(request, true);
            }
        }
    }
}

TEST(Locate, KeysOfRulesAreFoundAndWhatIsLeftOutPointsToItsTable) {
    using compile::locate;
    const auto key = locate(kExport, {.rule_line = 2, .table = "files", .entry = 0, .key = "max_size"});
    EXPECT_EQ(key.line, 5U);
    EXPECT_EQ(key.column, 54U);
    const auto table = locate(kExport, {.rule_line = 2, .table = "files", .entry = 0, .key = "owner"});
    EXPECT_EQ(table.column, 10U);
    EXPECT_EQ(locate(kExport, {.rule_line = 6, .table = "", .entry = 0, .key = "id"}).line, 7U);
    EXPECT_EQ(compile::under_caret("ab\ncd ef\n", {.line = 2, .column = 4}, "  "), "  cd ef\n     ^\n");
}

}  // namespace
}  // namespace sallyport::policy::analyse
