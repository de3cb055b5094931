// The broker reads compiled policies as if nobody had checked them: here they are broken by hand.
#include <gtest/gtest.h>

#include <functional>

#include "ipc/limits.hpp"
#include "policy/decide.hpp"
#include "policy/policy.pb.h"

namespace sallyport::policy {
namespace {

using compiled::Compiled;
using File = compiled::FileRule;

constexpr std::uint32_t kOpen = static_cast<std::uint32_t>(CommandId::kFileOpen);
constexpr std::uint32_t kReadCommand = static_cast<std::uint32_t>(CommandId::kFileRead);
constexpr std::uint32_t kPing = static_cast<std::uint32_t>(CommandId::kPing);

/// Rule 0 allows files, rule 1 denies some, rule 2 allows ping.
Compiled good() {
    Compiled policy;
    policy.set_schema(1);
    policy.set_digest(std::string(32, 'd'));
    auto* files = policy.add_rules();
    files->set_id("files");
    files->set_effect(compiled::Rule::ALLOW);
    files->set_where("policy.toml:3");
    files->add_commands(kOpen);
    files->add_commands(kReadCommand);
    auto* file = files->add_files();
    file->set_under("/srv");
    file->add_access(File::READ);
    auto* denied = policy.add_rules();
    denied->set_id("never");
    denied->set_effect(compiled::Rule::DENY);
    denied->set_where("policy.toml:9");
    denied->add_commands(kOpen);
    denied->add_files()->set_under("/srv/secret");
    auto* ping = policy.add_rules();
    ping->set_id("ping");
    ping->set_effect(compiled::Rule::ALLOW);
    ping->set_where("profile:minimal:2");
    ping->add_commands(kPing);
    return policy;
}

TEST(Load, KeepsEverythingThatIsWritten) {
    Compiled from = good();
    auto* file = from.mutable_rules(0)->mutable_files(0);
    file->add_access(File::WRITE);
    file->add_access(File::CREATE);
    file->set_max_size(1000);
    file->add_owners(0);
    file->add_owners(1000);
    file->add_kinds(File::FIFO);
    file->add_kinds(File::BLOCK_DEVICE);
    file->set_follow_symlinks(true);
    file->set_any_links(true);
    file->set_any_setid(true);
    file->set_create_mode(0640);
    from.mutable_rules(0)->set_expires(12345);
    from.set_preview_names(true);
    from.mutable_peers()->add_uids(5);
    from.mutable_peers()->add_cids(3);
    const auto policy = load(from.SerializeAsString());
    ASSERT_TRUE(policy) << policy.error().what;
    EXPECT_EQ(policy->digest, std::string(32, 'd'));
    EXPECT_TRUE(policy->preview_names);
    EXPECT_EQ(policy->peer_uids, std::vector<std::uint32_t>{5});
    EXPECT_EQ(policy->peer_cids, std::vector<std::uint32_t>{3});
    ASSERT_EQ(policy->rules.size(), 3U);
    const Rule& rule = policy->rules[0];
    EXPECT_EQ(rule.id, "files");
    EXPECT_EQ(rule.where, "policy.toml:3");
    EXPECT_EQ(rule.effect, Effect::kAllow);
    EXPECT_TRUE(rule.commands.has(CommandId::kFileOpen));
    EXPECT_FALSE(rule.commands.has(CommandId::kPing));
    EXPECT_EQ(rule.expires, 12345);
    const FileRule& loaded = rule.files.at(0);
    EXPECT_EQ(loaded.under, "/srv");
    EXPECT_EQ(loaded.access, (Access{.read = true, .write = true, .create = true}));
    EXPECT_EQ(loaded.max_size, 1000U);
    EXPECT_EQ(loaded.owners, (std::vector<std::uint32_t>{0, 1000}));
    EXPECT_EQ(loaded.kinds, (Kinds{.fifo = true, .block_device = true}));
    EXPECT_TRUE(loaded.follow_symlinks && loaded.any_links && loaded.any_setid);
    EXPECT_EQ(loaded.create_mode, 0640U);
    EXPECT_EQ(policy->rules[1].effect, Effect::kDeny);
}

TEST(Load, WhatIsLeftOutIsTheStrictForm) {
    const auto policy = load(good().SerializeAsString());
    ASSERT_TRUE(policy) << policy.error().what;
    const FileRule& file = policy->rules[0].files.at(0);
    EXPECT_EQ(file.kinds, Kinds{.regular = true});
    EXPECT_FALSE(file.follow_symlinks || file.any_links || file.any_setid);
    EXPECT_EQ(file.create_mode, 0600U);
    EXPECT_FALSE(file.max_size);
    EXPECT_FALSE(policy->preview_names);
}

TEST(Load, AuditThatIsLeftOutIsTheDefaultWhichRefusesAndStaysBelowThirtyMegabytes) {
    const auto policy = load(good().SerializeAsString());
    ASSERT_TRUE(policy);
    EXPECT_FALSE(policy->audit.goes_on);
    EXPECT_FALSE(policy->audit.journal_all);
    EXPECT_LE(policy->audit.max_size * (policy->audit.keep + 1), 30'000'000U);
}

TEST(Load, NothingIsNarrowedYet) {
    const auto policy = load(good().SerializeAsString());
    ASSERT_TRUE(policy);
    for (const Command& row : kCommands) EXPECT_TRUE(policy->narrowed_to.has(row.id)) << row.name;
}

struct Broken {
    const char* name;
    std::function<void(Compiled&)> damage;
    const char* expected;
};
void PrintTo(const Broken& broken, std::ostream* out) {
    *out << broken.name;
}

class LoadRefuses : public testing::TestWithParam<Broken> {};

TEST_P(LoadRefuses, BrokenPolicy) {
    Compiled policy = good();
    GetParam().damage(policy);
    const auto loaded = load(policy.SerializeAsString());
    ASSERT_FALSE(loaded);
    EXPECT_STREQ(loaded.error().what, GetParam().expected);
}

compiled::Rule& rule(Compiled& policy, int at) {
    return *policy.mutable_rules(at);
}
File& file(Compiled& policy) {
    return *policy.mutable_rules(0)->mutable_files(0);
}
File& denied(Compiled& policy) {
    return *policy.mutable_rules(1)->mutable_files(0);
}

constexpr const char* kWords = "policy: words not ascending";
constexpr const char* kUnknownWord = "policy: unknown word";
constexpr const char* kForm = "policy: directory not in normal form";
constexpr const char* kNumbers = "policy: numbers not ascending, or nobody's";
constexpr const char* kGrantsNothing = "policy: allow rule that grants nothing";
constexpr const char* kDenyLimits = "policy: limits in a deny rule";
constexpr const char* kLogSize = "policy: the audit log's size is out of bounds";
constexpr const char* kPeers = "policy: peers are not numbers of anybody";

// clang-format off
INSTANTIATE_TEST_SUITE_P(, LoadRefuses, testing::Values(
    Broken{"NoSchema",             [](Compiled& p) { p.clear_schema(); },                                    "policy: unknown schema"},
    Broken{"LaterSchema",          [](Compiled& p) { p.set_schema(2); },                                     "policy: unknown schema"},
    Broken{"NoDigest",             [](Compiled& p) { p.clear_digest(); },                                    "policy: bad digest"},
    Broken{"LongDigest",           [](Compiled& p) { p.set_digest(std::string(33, 'd')); },                  "policy: bad digest"},
    Broken{"NoEffect",             [](Compiled& p) { rule(p, 0).clear_effect(); },                           "policy: unknown effect"},
    Broken{"UnknownEffect",        [](Compiled& p) { rule(p, 0).set_effect(compiled::Rule::Effect(3)); },    "policy: unknown effect"},
    Broken{"NoId",                 [](Compiled& p) { rule(p, 0).clear_id(); },                               "policy: bad rule id"},
    Broken{"IdWithNewline",        [](Compiled& p) { rule(p, 0).set_id("a\nb"); },                           "policy: bad rule id"},
    Broken{"IdTooLong",            [](Compiled& p) { rule(p, 0).set_id(std::string(65, 'a')); },             "policy: bad rule id"},
    Broken{"IdTwice",              [](Compiled& p) { rule(p, 2).set_id("files"); },                          "policy: rule id used twice"},
    Broken{"NoPlace",              [](Compiled& p) { rule(p, 0).clear_where(); },                            "policy: no place"},
    Broken{"EndlessPlace",         [](Compiled& p) { rule(p, 0).set_where(std::string(5000, 'a')); },        "policy: no place"},
    Broken{"NoCommands",           [](Compiled& p) { rule(p, 2).clear_commands(); },                         "policy: rule without commands"},
    Broken{"UnknownCommand",       [](Compiled& p) { rule(p, 2).add_commands(kCommands.size()); },           "policy: unknown command"},
    Broken{"CommandBeyondTheSet",  [](Compiled& p) { rule(p, 2).add_commands(0xFFFFFFFF); },                 "policy: unknown command"},
    Broken{"CommandTwice",         [](Compiled& p) { rule(p, 2).add_commands(kPing); },                      "policy: commands not ascending"},
    Broken{"CommandsDescending",   [](Compiled& p) { rule(p, 2).add_commands(0); },                          "policy: commands not ascending"},
    Broken{"OpenWithoutFiles",     [](Compiled& p) { rule(p, 0).clear_files(); },                            "policy: allow rule without files"},
    Broken{"FilesForPing",         [](Compiled& p) { *rule(p, 2).add_files() = file(p); },                   "policy: files for commands that take none"},
    Broken{"FilesInAWiderDenial",  [](Compiled& p) { rule(p, 1).add_commands(static_cast<std::uint32_t>(CommandId::kSuspendRam)); }, "policy: files in a deny rule for other commands, too"},
    Broken{"ReplyForPing",         [](Compiled& p) { rule(p, 2).mutable_reply(); },                          "policy: reply filter for a rule that shows nothing"},
    Broken{"ReplyWithoutAName",    [](Compiled& p) { rule(p, 2).mutable_reply()->add_users(); },             "policy: bad reply filter"},
    Broken{"ReplyUnknownMember",   [](Compiled& p) { rule(p, 2).mutable_reply()->add_without(ipc::ReplyFilter::Member(20)); }, "policy: bad reply filter"},
    Broken{"ExpiresNever",         [](Compiled& p) { rule(p, 0).set_expires(0); },                           "policy: bad time of expiry"},
    Broken{"ExpiresBefore1970",    [](Compiled& p) { rule(p, 0).set_expires(-1); },                          "policy: bad time of expiry"},
    Broken{"NoDirectory",          [](Compiled& p) { file(p).clear_under(); },                               kForm},
    Broken{"RelativeDirectory",    [](Compiled& p) { file(p).set_under("srv"); },                            kForm},
    Broken{"DirectoryWithSlash",   [](Compiled& p) { file(p).set_under("/srv/"); },                          kForm},
    Broken{"DirectoryWithDotDot",  [](Compiled& p) { file(p).set_under("/srv/../root"); },                   kForm},
    Broken{"DirectoryWithNul",     [](Compiled& p) { file(p).set_under(std::string("/srv\0", 5)); },         kForm},
    Broken{"EndlessDirectory",     [](Compiled& p) { file(p).set_under("/" + std::string(kMaxPath, 'a')); }, kForm},
    Broken{"DeniedRelative",       [](Compiled& p) { denied(p).set_under("srv"); },                          kForm},
    Broken{"NoAccess",             [](Compiled& p) { file(p).clear_access(); },                              kGrantsNothing},
    Broken{"CreateWithoutWrite",   [](Compiled& p) { file(p).add_access(File::CREATE); },                    kGrantsNothing},
    Broken{"UnspecifiedAccess",    [](Compiled& p) { file(p).set_access(0, File::ACCESS_UNSPECIFIED); },     kUnknownWord},
    Broken{"UnknownAccess",        [](Compiled& p) { file(p).add_access(File::Access(4)); },                 kUnknownWord},
    Broken{"NegativeAccess",       [](Compiled& p) { file(p).set_access(0, File::Access(-1)); },             kUnknownWord},
    Broken{"AccessTwice",          [](Compiled& p) { file(p).add_access(File::READ); },                      kWords},
    Broken{"UnspecifiedKind",      [](Compiled& p) { file(p).add_kinds(File::KIND_UNSPECIFIED); },           kUnknownWord},
    Broken{"UnknownKind",          [](Compiled& p) { file(p).add_kinds(File::Kind(7)); },                    kUnknownWord},
    Broken{"KindsDescending",      [](Compiled& p) { file(p).add_kinds(File::FIFO); file(p).add_kinds(File::REGULAR); }, kWords},
    Broken{"OwnersDescending",     [](Compiled& p) { file(p).add_owners(5); file(p).add_owners(4); },        kNumbers},
    Broken{"OwnerNobody",          [](Compiled& p) { file(p).add_owners(0xFFFFFFFF); },                      kNumbers},
    Broken{"SetuidCreateMode",     [](Compiled& p) { file(p).set_create_mode(04755); },                      "policy: create_mode is more than permissions"},
    Broken{"DenyWithSize",         [](Compiled& p) { denied(p).set_max_size(1); },                           kDenyLimits},
    Broken{"DenyWithMode",         [](Compiled& p) { denied(p).set_create_mode(0600); },                     kDenyLimits},
    Broken{"DenyWithOwner",        [](Compiled& p) { denied(p).add_owners(0); },                             kDenyLimits},
    Broken{"DenyWithKind",         [](Compiled& p) { denied(p).add_kinds(File::FIFO); },                     kDenyLimits},
    Broken{"DenyWithSymlinks",     [](Compiled& p) { denied(p).set_follow_symlinks(true); },                 kDenyLimits},
    Broken{"DenyWithLinks",        [](Compiled& p) { denied(p).set_any_links(true); },                       kDenyLimits},
    Broken{"DenyWithSetid",        [](Compiled& p) { denied(p).set_any_setid(true); },                       kDenyLimits},
    Broken{"SmallLog",             [](Compiled& p) { p.mutable_audit()->set_max_size(kMinLogSize - 1); },    kLogSize},
    Broken{"EndlessLog",           [](Compiled& p) { p.mutable_audit()->set_max_size(kMaxLogSize + 1); },    kLogSize},
    Broken{"TooManyLogs",          [](Compiled& p) { p.mutable_audit()->set_keep(kMaxLogKeep + 1); },        kLogSize},
    Broken{"PeerNobody",           [](Compiled& p) { p.mutable_peers()->add_uids(0xFFFFFFFF); },             kPeers},
    Broken{"AnyMachineAsPeer",     [](Compiled& p) { p.mutable_peers()->add_cids(0xFFFFFFFF); },             kPeers}),
    [](const auto& each) { return each.param.name; });
// clang-format on

TEST(LoadRefusesBytes, ThatAreNoMessage) {
    EXPECT_FALSE(load("\xff\xff\xff"));
    EXPECT_FALSE(load(""));
}

TEST(LoadRefusesBytes, WithAFieldGivenTwice) {
    EXPECT_FALSE(load(std::string("\x08\x01") + good().SerializeAsString()));
}

TEST(LoadRefusesBytes, WithAFieldNobodyKnows) {
    EXPECT_FALSE(load(good().SerializeAsString() + "\x98\x06\x01"));
}

TEST(LoadRefusesBytes, ThatAreTooMany) {
    const auto loaded = load(std::string(kMaxCompiledSize + 1, '\0'));
    ASSERT_FALSE(loaded);
    EXPECT_EQ(loaded.error().code, Errc::kLimit);
}

TEST(LoadLimits, RulesAreCountedAndOneTooManyIsRefused) {
    Compiled policy = good();
    const auto size = [&] { return static_cast<std::size_t>(policy.rules().size()); };
    while (size() < kMaxRules) {
        auto* added = policy.add_rules();
        *added = policy.rules(2);
        added->set_id("rule-" + std::to_string(size()));
    }
    EXPECT_TRUE(load(policy.SerializeAsString()));
    *policy.mutable_rules(0)->add_files() = policy.rules(0).files(0);
    const auto loaded = load(policy.SerializeAsString());
    ASSERT_FALSE(loaded);
    EXPECT_EQ(loaded.error().code, Errc::kLimit);
}

}  // namespace
}  // namespace sallyport::policy
