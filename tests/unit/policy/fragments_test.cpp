// The files of a policy's folders: where they stand makes no difference, and a vendor's can only take away.
#include "policy/fragments.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <numeric>

#include "policy/tool/analyse/decider.hpp"
#include "policy/tool/analyse/words.hpp"
#include "policy/tool/compile/compile.hpp"
#include "policy/tool/compile/effective.hpp"
#include "policy/tool/compile/locate.hpp"
#include "tests/unit/policy/random_policy.hpp"

namespace sallyport::policy {
namespace {

using analyse::Decider;
using compiled::Fragments;
using random::kGroup;
using random::kPasswd;

const std::string kBare = "schema = 1\n";
const std::string kLook = kBare + "[[allow]]\nid = \"look\"\ncommands = [\"@inspect\"]\n";
const std::string kDeny = kBare + "[[deny]]\nid = \"no\"\ncommands = [\"guest-get-load\"]\n";

void add(Fragments& to, const std::string& name, const std::string& text, bool is_vendor = false) {
    Fragments::File& file = *to.add_files();
    file.set_name("/etc/policy.d/" + name);
    file.set_text(text);
    file.set_is_vendor(is_vendor);
}

std::expected<compile::Compilation, std::string> compiled(const std::string& text,
                                                          const Fragments& fragments) {
    return compile::compile_with_nevers(
        {.text = text, .name = "p.toml", .passwd = kPasswd, .group = kGroup, .fragments = &fragments});
}

std::string problems_of(const std::string& text, const Fragments& fragments) {
    const auto done = compiled(text, fragments);
    return done ? "" : done.error();
}

std::optional<Policy> loaded(const std::string& text, const Fragments& fragments) {
    const auto done = compiled(text, fragments);
    if (!done) return std::nullopt;
    auto policy = load(done->policy.SerializeAsString());
    EXPECT_TRUE(policy);
    return *std::move(policy);
}

TEST(Fragments, LieInAFolderOfThePolicysName) {
    EXPECT_EQ(folder_of("/etc/sallyport/policy.toml"), "/etc/sallyport/policy.d");
    EXPECT_EQ(folder_of("x"), "x.d");
}

TEST(Fragments, OnlyWhatCannotBeMeantIsIgnored) {
    for (const char* name : {"10-a.toml", "a.toml", "A_b.c.toml"})
        EXPECT_EQ(judge_fragment_name(name), FragmentName::kRead) << name;
    for (const char* name :
         {"a.toml~", ".a.toml", ".#a.toml", "#a.toml#", "a.toml.bak", "README", ".a.toml.swp", "a.TOML"})
        EXPECT_EQ(judge_fragment_name(name), FragmentName::kIgnored) << name;
    for (const char* name : {"a b.toml", "a\n.toml", "\xc3\xa4.toml", "a:1.toml"})
        EXPECT_EQ(judge_fragment_name(name), FragmentName::kOdd) << name;
}

TEST(Fragments, EachMessageNamesItsFile) {
    Fragments files;
    add(files, "10-a.toml", kLook);
    add(files, "20-b.toml", kLook + "[[dney]]\n");
    add(files, "30-c.toml", "schema = 1\n[[allow]\n");
    const std::string problems = problems_of(kBare, files);
    EXPECT_NE(
        problems.find(
            "/etc/policy.d/20-b.toml:3:6: error: id 'look' is already used at /etc/policy.d/10-a.toml:2\n"),
        problems.npos)
        << problems;
    EXPECT_NE(problems.find("/etc/policy.d/20-b.toml:5:3: error: unknown key 'dney' in a file of the "
                            "policy's folder; did you mean 'deny'?"),
              problems.npos)
        << problems;
    EXPECT_NE(problems.find("/etc/policy.d/30-c.toml:2:"), problems.npos) << problems;
}

TEST(Fragments, AVendorMayOnlyDenyAndSayNever) {
    Fragments files;
    add(files, "v.toml", kLook, true);
    EXPECT_EQ(problems_of(kBare, files),
              "/etc/policy.d/v.toml:2:1: error: a vendor's file may only deny and say never: what is allowed "
              "is the "
              "admin's\n");
    Fragments good;
    add(good, "v.toml", kDeny + "[[never]]\nid = \"n\"\ncommands = [\"@exec\"]\n", true);
    EXPECT_EQ(problems_of(kLook, good), "");
    for (const char* key :
         {"include = \"profile:compat\"\n", "peers = { uids = [1000] }\n", "audit = { keep = 1 }\n"}) {
        Fragments bad;
        add(bad, "v.toml", std::string(key) + kDeny, true);
        EXPECT_NE(problems_of(kLook, bad).find("unknown key"), std::string::npos) << key;
    }
}

TEST(Fragments, ANeverRuleOfAFileIsProvedOverAllOfThem) {
    Fragments files;
    add(files, "a.toml", kLook);
    add(files, "v.toml", kBare + "\n[[never]]\nid = \"n\"\ncommands = [\"guest-get-load\"]\n", true);
    const std::string problems = problems_of(kBare, files);
    EXPECT_NE(
        problems.find(
            "/etc/policy.d/v.toml:3:1: error: never rule 'n' (/etc/policy.d/v.toml:3) is broken: rule 'look' "
            "(/etc/policy.d/a.toml:2) allows guest-get-load"),
        problems.npos)
        << problems;
    add(files, "z.toml", kDeny);
    EXPECT_EQ(problems_of(kBare, files), "");
}

TEST(Fragments, TheDigestIsOfAllOfThem) {
    const auto digest = [](const Fragments& files) { return compiled(kLook, files)->policy.digest(); };
    Fragments none, one, other, renamed, vendor;
    add(one, "a.toml", kDeny);
    add(other, "a.toml", kDeny + "# \n");
    add(renamed, "b.toml", kDeny);
    add(vendor, "a.toml", kDeny, true);
    std::vector<std::string> digests{digest(none), digest(one), digest(other), digest(renamed),
                                     digest(vendor)};
    std::ranges::sort(digests);
    EXPECT_EQ(std::ranges::adjacent_find(digests), digests.end());
}

TEST(Fragments, TheEffectiveTextSaysWhereEachRuleStandsAndACaretFindsIt) {
    Fragments files;
    add(files, "10-a.toml", kLook);
    const auto done = compiled(kBare, files);
    ASSERT_TRUE(done);
    const std::string text = compile::effective_text(*done, compile::Passwd(kPasswd, kGroup));
    EXPECT_NE(text.find("# /etc/policy.d/10-a.toml:2\n[[allow]]\n"), text.npos) << text;
    EXPECT_EQ(compile::source_of("/etc/policy.d/10-a.toml:2", kBare, files), kLook);
    EXPECT_EQ(compile::source_of("p.toml:2", kBare, files), kBare);
}

TEST(Fragments, InWhichFileARuleStandsNeverMatters) {
    random::Source source(15);
    int compared = 0;
    for (int number = 0; number < 300; ++number) {
        const std::vector<std::string> rules = source.rules(2 + source.below(5));
        std::vector<std::string> texts(4, kBare);
        for (const std::string& rule : rules) texts[source.below(texts.size())] += rule;
        std::vector<Fragments> orders(2);
        for (std::size_t at = 1; at < texts.size(); ++at) {
            add(orders[0], std::to_string(at) + ".toml", texts[at]);
            add(orders[1], std::to_string(at) + ".toml", texts[texts.size() - at]);
        }
        const auto whole = loaded(random::text_of(rules), {});
        const auto first = loaded(texts[0], orders[0]);
        const auto second = loaded(texts[0], orders[1]);
        ASSERT_EQ(whole.has_value(), first.has_value()) << problems_of(texts[0], orders[0]);
        ASSERT_EQ(whole.has_value(), second.has_value());
        if (!whole) continue;
        const Decider by_whole(*whole), by_first(*first), by_second(*second);
        for (int asked = 0; asked < 40; ++asked, ++compared) {
            const analyse::Request request = source.request();
            const bool is_allowed = by_whole.decide(request).is_allowed();
            ASSERT_EQ(by_first.decide(request).is_allowed(), is_allowed) << line_of(request, true);
            ASSERT_EQ(by_second.decide(request).is_allowed(), is_allowed) << line_of(request, true);
        }
    }
    EXPECT_GT(compared, 4000);
}

TEST(Fragments, OfAVendorNeverWiden) {
    random::Source source(16);
    int narrowed = 0;
    for (int number = 0; number < 600; ++number) {
        const std::string text = random::text_of(source.rules(2 + source.below(5)));
        Fragments files;
        std::string denials = kBare;
        for (std::size_t at = 0; at < 1 + source.below(3); ++at)
            denials += source.deny_rule("vendor-" + std::to_string(at));
        add(files, "50-vendor.toml", denials, true);
        const auto without = loaded(text, {});
        const auto with = loaded(text, files);
        if (!without || !with) continue;
        const Decider by_without(*without), by_with(*with);
        for (int asked = 0; asked < 100; ++asked) {
            const analyse::Request request = source.request();
            const bool was_allowed = by_without.decide(request).is_allowed();
            const bool is_allowed = by_with.decide(request).is_allowed();
            ASSERT_TRUE(was_allowed || !is_allowed) << line_of(request, true) << "\n" << text << denials;
            narrowed += was_allowed && !is_allowed ? 1 : 0;
        }
    }
    EXPECT_GT(narrowed, 100);
}

}  // namespace
}  // namespace sallyport::policy
