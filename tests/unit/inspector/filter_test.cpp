#include "inspector/filter.hpp"

#include <gtest/gtest.h>

#include <initializer_list>
#include <string>

#include "tests/support/hours.hpp"

namespace sallyport::inspector {
namespace {

using Is = ipc::ReplyFilter;
constexpr std::int64_t kNow = 1'800'000'000;

ipc::ReplyRule looking(std::initializer_list<const char*> users,
                       std::initializer_list<Is::Member> without = {},
                       CommandId command = CommandId::kGetUsers) {
    ipc::ReplyRule rule;
    rule.add_commands(static_cast<std::uint32_t>(command));
    for (const char* user : users) rule.mutable_filter()->add_users(user);
    for (const Is::Member member : without) rule.mutable_filter()->add_without(member);
    return rule;
}

ipc::ReplyRules rules_of(std::initializer_list<ipc::ReplyRule> rules) {
    ipc::ReplyRules all;
    for (const ipc::ReplyRule& rule : rules) *all.add_rules() = rule;
    return all;
}

Shown shown_of(const ipc::ReplyRules& rules, std::string_view name) {
    return shown({rules, CommandId::kGetUsers, kNow}, &Is::users, name);
}

bool shows(const ipc::ReplyRules& rules, std::string_view name) {
    return shown_of(rules, name).is_shown;
}

TEST(Reply, NamesAreWholeOrHaveAStarAtTheEnd) {
    const auto rules = rules_of({looking({"root", "db-*"})});
    for (const char* name : {"root", "db-", "db-admin"}) EXPECT_TRUE(shows(rules, name)) << name;
    for (const char* name : {"", "roo", "roots", "db", "adb-"}) EXPECT_FALSE(shows(rules, name)) << name;
}

TEST(Reply, ShowsWhatAnyRuleShows) {
    const auto rules = rules_of({looking({"root"}), looking({"alice"})});
    EXPECT_TRUE(shows(rules, "root") && shows(rules, "alice"));
    EXPECT_FALSE(shows(rules, "bob"));
    EXPECT_TRUE(shows(rules_of({looking({"root"}), looking({})}), "bob"));
}

TEST(Reply, RuleOfAnotherCommandShowsNothing) {
    EXPECT_FALSE(shows(rules_of({looking({}, {}, CommandId::kGetFsinfo)}), "root"));
    EXPECT_FALSE(shows({}, "root"));
}

TEST(Reply, ExpiredRuleShowsNothing) {
    ipc::ReplyRule expired = looking({});
    expired.mutable_live()->set_expires(kNow);
    EXPECT_FALSE(shows(rules_of({expired}), "root"));
    expired.mutable_live()->set_expires(kNow + 1);
    EXPECT_TRUE(shows(rules_of({expired}), "root"));
}

TEST(Reply, RuleOutsideItsHoursShowsNothing) {
    ipc::ReplyRule rule = looking({});
    *rule.mutable_live()->mutable_when() = test::hours_from(kNow, -60, 60);
    const auto rules = rules_of({rule});
    const auto is_shown = [&](Moment now) {
        return shown({rules, CommandId::kGetUsers, now}, &Is::users, "root").is_shown;
    };
    EXPECT_TRUE(is_shown(kNow));
    EXPECT_FALSE(is_shown(kNow + 60));
    EXPECT_FALSE(is_shown({kNow + 60, kNow})) << "by the latest time that was seen";
    EXPECT_FALSE(is_shown({kNow, kNow + 60})) << "by the clock";
}

TEST(Reply, MemberIsLeftOutOnlyIfEveryRuleLeavesItOut) {
    const auto rules = rules_of({looking({}, {Is::SERIAL, Is::DEV}), looking({}, {Is::DEV})});
    const Members members = shown({rules, CommandId::kGetUsers, kNow}).without;
    EXPECT_FALSE(members[Is::SERIAL]);
    EXPECT_TRUE(members[Is::DEV]);
}

TEST(Reply, RuleThatDoesNotShowANameShowsNoneOfItsMembers) {
    const auto rules = rules_of({looking({"root"}, {Is::SERIAL}), looking({"alice"})});
    EXPECT_TRUE(shown_of(rules, "root").without[Is::SERIAL]);
    EXPECT_FALSE(shown_of(rules, "alice").without[Is::SERIAL]);
    EXPECT_TRUE(shown_of(rules, "bob").without.all());
}

TEST(FilteredReply, HasTheEntriesAndMembersThatARuleShows) {
    auto rule = looking({}, {Is::STATISTICS}, CommandId::kNetworkGetInterfaces);
    rule.mutable_filter()->add_interfaces("eth*");
    const auto rules = rules_of({rule});
    schema::Inspected reply;
    for (const char* name : {"eth0", "lo", "eth1:2"}) {
        auto& one = *reply.mutable_network_get_interfaces()->add_interfaces();
        one.set_name(name);
        one.set_hardware_address("02:00:00:00:00:00");
        one.mutable_statistics()->set_rx_bytes(1);
    }
    filter_reply({rules, CommandId::kNetworkGetInterfaces, kNow}, reply);
    const auto& left = reply.network_get_interfaces().interfaces();
    ASSERT_EQ(left.size(), 2);
    EXPECT_EQ(left[0].name(), "eth0");
    EXPECT_EQ(left[1].name(), "eth1:2") << "an alias is shown where its interface is";
    EXPECT_TRUE(left[0].has_hardware_address());
    EXPECT_FALSE(left[0].has_statistics());
}

TEST(FilteredReply, OfAnExpiredRuleIsEmpty) {
    auto rule = looking({});
    rule.mutable_live()->set_expires(kNow);
    const auto rules = rules_of({rule});
    schema::Inspected reply;
    reply.mutable_get_users()->add_users()->set_user("root");
    filter_reply({rules, CommandId::kGetUsers, kNow - 1}, reply);
    EXPECT_EQ(reply.get_users().users_size(), 1);
    filter_reply({rules, CommandId::kGetUsers, kNow}, reply);
    EXPECT_EQ(reply.get_users().users_size(), 0);
    EXPECT_TRUE(reply.has_get_users()) << "it is still the reply to its command";
}

TEST(FilteredReply, HasNoMemberThatAllRulesLeaveOut) {
    const auto rules = rules_of({looking({}, {Is::KERNEL_VERSION}, CommandId::kGetOsinfo)});
    schema::Inspected reply;
    reply.mutable_get_osinfo()->set_kernel_version("#1");
    reply.mutable_get_osinfo()->set_kernel_release("6.1");
    filter_reply({rules, CommandId::kGetOsinfo, kNow}, reply);
    EXPECT_FALSE(reply.get_osinfo().has_kernel_version());
    EXPECT_EQ(reply.get_osinfo().kernel_release(), "6.1");
}

}  // namespace
}  // namespace sallyport::inspector
