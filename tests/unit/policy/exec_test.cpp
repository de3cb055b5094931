// Rules about programs: what is a mistake and where, and which words are covered.
#include <gtest/gtest.h>

#include <random>

#include "policy/exec.hpp"
#include "policy/tool/compile/compile.hpp"

namespace sallyport::policy {
namespace {

using namespace std::string_literals;

constexpr std::string_view kPasswd =
    "root:x:0:0::/root:/bin/sh\nnobody:x:65534:65534::/:/bin/false\nbackup:x:34:34::/:/bin/sh\n";
constexpr std::string_view kGroup =
    "root:x:0:\ndisk:x:6:backup\ntape:x:26:alice,backup\nbackup:x:34:\nadm:x:4:backups\n";

auto compiled_of(const std::string& rules) {
    const std::string text = "schema = 1\n" + rules;
    return compile::compile_policy({.text = text, .name = "p.toml", .passwd = kPasswd, .group = kGroup});
}

Policy policy_of(const std::string& rules) {
    const auto compiled = compiled_of(rules);
    EXPECT_TRUE(compiled) << (compiled ? "" : compiled.error());
    auto loaded = load(compiled->SerializeAsString());
    EXPECT_TRUE(loaded);
    return *std::move(loaded);
}

const std::string kRule = "[[allow]]\nid = \"x\"\ncommands = [\"guest-exec\"]\n";
std::string with(const std::string& table) {
    return kRule + "[[allow.exec]]\n" + table;
}
std::string with_args(const std::string& args, const std::string& more = "") {
    return with("program = \"/bin/p\"\nrun_as = \"nobody\"\nargs = " + args + "\n" + more);
}

ExecMiss miss_of(const std::string& rules, const ExecRequest& want, WallTime now = 1'800'000'000) {
    return decide_exec(exec_templates(policy_of(rules)), want, now).miss;
}

struct WordCase {
    const char* name;
    std::string place;
    std::string word;
    bool is_covered;
};
void PrintTo(const WordCase& one, std::ostream* out) {
    *out << one.name;
}
class Word : public testing::TestWithParam<WordCase> {};

TEST_P(Word, IsCoveredByItsPlaceOrNot) {
    const auto& [name, place, word, is_covered] = GetParam();
    const ExecRequest want{.program = "/bin/p", .args = {word}, .env = {}, .input = {}};
    EXPECT_EQ(miss_of(with_args("[" + place + "]"), want), is_covered ? ExecMiss::kNothing : ExecMiss::kArgs);
}

// clang-format off
INSTANTIATE_TEST_SUITE_P(, Word, testing::Values(
    WordCase{"Fixed",            "\"--unit\"",                    "--unit",            true},
    WordCase{"FixedAndMore",     "\"--unit\"",                    "--unit=x",          false},
    WordCase{"FixedLess",        "\"--unit\"",                    "--uni",             false},
    WordCase{"FixedWithNul",     "\"--unit\"",                    "--unit\0"s,         false},
    WordCase{"FixedWithNewline", "\"--unit\"",                    "--unit\n",          false},
    WordCase{"FixedEmpty",       "\"\"",                          "",                  true},
    WordCase{"OneOf",            "{ one_of = [\"db\", \"web\"] }", "web",              true},
    WordCase{"OneOfOther",       "{ one_of = [\"db\", \"web\"] }", "dbweb",            false},
    WordCase{"OneOfEmptyWord",   "{ one_of = [\"db\", \"web\"] }", "",                 false},
    WordCase{"IntLeast",         "{ int = [1, 10] }",             "1",                 true},
    WordCase{"IntMost",          "{ int = [1, 10] }",             "10",                true},
    WordCase{"IntBelow",         "{ int = [1, 10] }",             "0",                 false},
    WordCase{"IntAbove",         "{ int = [1, 10] }",             "11",                false},
    WordCase{"IntSigned",        "{ int = [1, 10] }",             "+5",                false},
    WordCase{"IntZeroes",        "{ int = [1, 10] }",             "05",                false},
    WordCase{"IntHex",           "{ int = [1, 10] }",             "0x5",               false},
    WordCase{"IntBlank",         "{ int = [1, 10] }",             "5 ",                false},
    WordCase{"IntEmpty",         "{ int = [1, 10] }",             "",                  false},
    WordCase{"IntNegative",      "{ int = [-3, 3] }",             "-3",                true},
    WordCase{"IntMinusZero",     "{ int = [-3, 3] }",             "-0",                false},
    WordCase{"IntTooLarge",      "{ int = [1, 9223372036854775807] }", "9223372036854775808", false},
    WordCase{"IntGreatest",      "{ int = [1, 9223372036854775807] }", "9223372036854775807", true},
    WordCase{"Under",            "{ under = \"/srv/export\" }",   "/srv/export/a/b",   true},
    WordCase{"UnderItself",      "{ under = \"/srv/export\" }",   "/srv/export",       false},
    WordCase{"UnderSibling",     "{ under = \"/srv/export\" }",   "/srv/exports/a",    false},
    WordCase{"UnderDots",        "{ under = \"/srv/export\" }",   "/srv/export/../x",  false},
    WordCase{"UnderDotsInside",  "{ under = \"/srv/export\" }",   "/srv/export/a/../b", false},
    WordCase{"UnderDot",         "{ under = \"/srv/export\" }",   "/srv/export/./b",   false},
    WordCase{"UnderSlashes",     "{ under = \"/srv/export\" }",   "/srv/export//b",    false},
    WordCase{"UnderSlashAtEnd",  "{ under = \"/srv/export\" }",   "/srv/export/b/",    false},
    WordCase{"UnderRelative",    "{ under = \"/srv/export\" }",   "srv/export/b",      false},
    WordCase{"UnderNul",         "{ under = \"/srv/export\" }",   "/srv/export/b\0c"s, false},
    WordCase{"UnderNewline",     "{ under = \"/srv/export\" }",   "/srv/export/b\nc",  true},
    WordCase{"UnderRoot",        "{ under = \"/\" }",             "/etc",              true},
    WordCase{"UnderRootItself",  "{ under = \"/\" }",             "/",                 false},
    WordCase{"Name",             "{ name = 8 }",                  "a.b-_9Z",           true},
    WordCase{"NameLongest",      "{ name = 8 }",                  "12345678",          true},
    WordCase{"NameTooLong",      "{ name = 8 }",                  "123456789",         false},
    WordCase{"NameEmpty",        "{ name = 8 }",                  "",                  false},
    WordCase{"NameOption",       "{ name = 8 }",                  "-rf",               false},
    WordCase{"NameDots",         "{ name = 8 }",                  "..",                false},
    WordCase{"NameDot",          "{ name = 8 }",                  ".",                 false},
    WordCase{"NameSlash",        "{ name = 8 }",                  "a/b",               false},
    WordCase{"NameBlank",        "{ name = 8 }",                  "a b",               false},
    WordCase{"NameNewline",      "{ name = 8 }",                  "a\n",               false},
    WordCase{"NameUmlaut",       "{ name = 8 }",                  "\xc3\xa4",          false}),
    [](const auto& one) { return std::string(one.param.name); });
// clang-format on

const std::string kThree = with_args("[\"--unit\", { one_of = [\"db\", \"web\"] }, { int = [1, 10] }]");

ExecMiss of_three(ExecWords args) {
    return miss_of(kThree, {.program = "/bin/p", .args = std::move(args), .env = {}, .input = {}});
}

TEST(ExecDecision, NeighboursOfTheAllowedWordsAreRefused) {
    EXPECT_EQ(of_three({"--unit", "db", "7"}), ExecMiss::kNothing);
    EXPECT_EQ(of_three({"--unit", "db"}), ExecMiss::kArgs);
    EXPECT_EQ(of_three({"--unit", "db", "7", ""}), ExecMiss::kArgs);
    EXPECT_EQ(of_three({"db", "--unit", "7"}), ExecMiss::kArgs);
    EXPECT_EQ(of_three({"--unit", "7", "db"}), ExecMiss::kArgs);
    EXPECT_EQ(of_three({"--unit db 7"}), ExecMiss::kArgs);
    EXPECT_EQ(of_three({}), ExecMiss::kArgs);
    EXPECT_EQ(of_three(ExecWords(4096, "--unit")), ExecMiss::kArgs);
    EXPECT_EQ(miss_of(kThree, {.program = "/bin/p2", .args = {"--unit", "db", "7"}, .env = {}, .input = {}}),
              ExecMiss::kProgram);
    EXPECT_EQ(
        miss_of(kThree, {.program = "/bin/../bin/p", .args = {"--unit", "db", "7"}, .env = {}, .input = {}}),
        ExecMiss::kProgram);
}

TEST(ExecDecision, ValuesAreTheHostsWordsInTheirPlaces) {
    const auto decision =
        decide_exec(exec_templates(policy_of(kThree)),
                    {.program = "/bin/p", .args = {"--unit", "web", "10"}, .env = {}, .input = {}}, 0);
    EXPECT_EQ(decision.at, 0);
    EXPECT_EQ(decision.values, (ExecWords{"web", "10"}));
}

TEST(ExecDecision, InputIsRefusedUnlessTheRuleTakesSoMuch) {
    const ExecRequest four{.program = "/bin/p", .args = {}, .env = {}, .input = 4};
    EXPECT_EQ(miss_of(with_args("[]"), four), ExecMiss::kInput);
    EXPECT_EQ(miss_of(with_args("[]", "input = \"4B\"\n"), four), ExecMiss::kNothing);
    EXPECT_EQ(miss_of(with_args("[]", "input = \"3B\"\n"), four), ExecMiss::kInput);
    EXPECT_EQ(miss_of(with_args("[]"), {.program = "/bin/p", .args = {}, .env = {}, .input = 0}),
              ExecMiss::kInput);
}

TEST(ExecDecision, EnvironmentIsRefusedButForTheNamesOfTheRule) {
    const std::string rules = with_args("[]", "host_env = [\"A\", \"B\"]\n");
    const auto miss = [&](ExecWords env) {
        return miss_of(rules, {.program = "/bin/p", .args = {}, .env = std::move(env), .input = {}});
    };
    EXPECT_EQ(miss({}), ExecMiss::kNothing);
    EXPECT_EQ(miss({"A=1", "B="}), ExecMiss::kNothing);
    EXPECT_EQ(miss({"A=1=2\n"}), ExecMiss::kNothing);
    for (const ExecWords& env :
         {ExecWords{"C=1"}, {"A"}, {"A=1", "A=2"}, {"=1"}, {"LD_PRELOAD=/x"}, {"A=1", "a=1"}})
        EXPECT_EQ(miss(env), ExecMiss::kEnv) << env.front();
    const std::string nul("A=1\0", 4);
    EXPECT_EQ(miss({nul}), ExecMiss::kEnv);
}

TEST(ExecDecision, AnyTakesAllWordsButANul) {
    const std::string rules = with("program = \"any\"\nargs = \"any\"\nrun_as = \"root\"\n");
    const std::string nul("a\0b", 3);
    EXPECT_EQ(miss_of(rules, {.program = "sh", .args = {"-c", "x\ny"}, .env = {}, .input = {}}),
              ExecMiss::kNothing);
    EXPECT_EQ(miss_of(rules, {.program = "sh", .args = {nul}, .env = {}, .input = {}}), ExecMiss::kArgs);
    EXPECT_EQ(miss_of(rules, {.program = nul, .args = {}, .env = {}, .input = {}}), ExecMiss::kProgram);
}

TEST(ExecDecision, ExpiredRulesAndDenyRulesTakeTheTemplateAway) {
    const ExecRequest want{.program = "/bin/p", .args = {}, .env = {}, .input = {}};
    const std::string deny = "[[deny]]\nid = \"no\"\ncommands = [\"guest-exec\"]\n";
    EXPECT_TRUE(exec_templates(policy_of(with_args("[]") + deny)).empty());
    const std::string for_now = with_args("[]") + deny + "expires = 2030-01-01T00:00:00Z\n";
    EXPECT_EQ(miss_of(for_now, want, 1'800'000'000), ExecMiss::kTime);
    EXPECT_EQ(miss_of(for_now, want, 2'000'000'000), ExecMiss::kNothing);
    const std::string ending =
        "[[allow]]\nid = \"x\"\ncommands = [\"guest-exec\"]\nexpires = 2030-01-01T00:00:00Z\n"
        "[[allow.exec]]\nprogram = \"/bin/p\"\nrun_as = \"nobody\"\nargs = []\n";
    EXPECT_EQ(miss_of(ending, want, 1'800'000'000), ExecMiss::kNothing);
    EXPECT_EQ(miss_of(ending, want, 2'000'000'000), ExecMiss::kTime);
    Policy narrowed = policy_of(with_args("[]"));
    narrowed.narrowed_to.remove(CommandId::kExec);
    EXPECT_TRUE(exec_templates(narrowed).empty());
}

TEST(ExecDecision, WhoMayStartMayAskForTheEnd) {
    EXPECT_TRUE(decide_command(policy_of(with_args("[]")), CommandId::kExecStatus, 0).is_allowed());
}

// What is decided is what is started: the words that are made again of the template and the values are the host's, and are
// decided in the same way, whatever they are.
TEST(ExecDecision, FillingInTheValuesGivesTheSameWords) {
    std::mt19937 random(20260801);
    const auto templates = exec_templates(policy_of(with_args(
        "[\"a\", { one_of = [\"b\", \"-c\"] }, { int = [-2, 2] }, { under = \"/d\" }, { name = 2 }]")));
    const std::vector<std::string> words{"a",  "b",    "-c",    "-2", "0",  "2", "3",
                                         "/d", "/d/x", "/d/..", "n",  "..", "",  "a\nb"};
    int covered = 0;
    for (int round = 0; round < 200'000; ++round) {
        ExecRequest want{.program = "/bin/p", .args = {"a"}, .env = {}, .input = {}};
        const std::size_t count = random() % 8 == 0 ? random() % 6 : 4;
        for (std::size_t at = 0; at < count; ++at) want.args.emplace_back(words[random() % words.size()]);
        const auto decision = decide_exec(templates, want, 0);
        if (decision.at < 0) continue;
        ++covered;
        const auto again = fill_in(templates[0], decision.values);
        ASSERT_TRUE(again);
        ASSERT_EQ(*again, want.args);
        EXPECT_FALSE(fill_in(templates[0], ExecWords(decision.values.begin() + 1, decision.values.end())));
        EXPECT_EQ(
            match_exec(templates[0], {.program = "/bin/p", .args = *again, .env = {}, .input = {}}, 0).values,
            decision.values);
    }
    EXPECT_GT(covered, 100);
}

TEST(ExecRule, RunAsIsResolvedWithAllGroupsOfTheUser) {
    const auto templates =
        exec_templates(policy_of(with("program = \"/bin/p\"\nargs = []\nrun_as = \"backup\"\n")));
    EXPECT_EQ(templates[0].uid(), 34U);
    EXPECT_EQ(templates[0].gid(), 34U);
    EXPECT_EQ(std::vector(templates[0].groups().begin(), templates[0].groups().end()),
              (std::vector<std::uint32_t>{6, 26, 34}));
}

TEST(ExecRule, DefaultsAreNarrow) {
    const auto all = exec_templates(policy_of(with_args("[]")));
    EXPECT_EQ(all[0].input(), 0U);
    EXPECT_EQ(all[0].output(), 65536U);
    EXPECT_EQ(all[0].max_runtime_ms(), 30'000U);
    EXPECT_EQ(all[0].concurrent(), 1U);
    EXPECT_TRUE(all[0].env().empty());
    EXPECT_EQ(all[0].rule(), "x");
}

TEST(ExecRule, WritesNeedNoNewPrivileges) {
    const auto all = exec_templates(policy_of(with_args("[]", "confine = { write = [\"/var/lib/p\"] }\n")));
    EXPECT_TRUE(all[0].confine().no_new_privileges());
}

struct Mistake {
    const char* name;
    std::string rules;
    std::string said;
};
void PrintTo(const Mistake& one, std::ostream* out) {
    *out << one.name;
}
class ExecMistake : public testing::TestWithParam<Mistake> {};

TEST_P(ExecMistake, IsSaidWithItsPlace) {
    const auto compiled = compiled_of(GetParam().rules);
    ASSERT_FALSE(compiled);
    EXPECT_EQ(compiled.error(), "p.toml:" + GetParam().said + "\n");
}

const std::string kHead = "program = \"/bin/p\"\nrun_as = \"nobody\"\nargs = []\n";  // 6 to 8

// clang-format off
INSTANTIATE_TEST_SUITE_P(, ExecMistake, testing::Values(
    Mistake{"NoTable",       kRule, "4:12: error: a rule that allows guest-exec must say which programs: [[allow.exec]] with program = \"/PATH\", args = [] and run_as = \"USER\""},
    Mistake{"InADenyRule",   "[[deny]]\nid = \"d\"\ncommands = [\"guest-exec\"]\n[[deny.exec]]\n" + kHead, "5:1: error: 'exec' means nothing in a deny rule"},
    Mistake{"OtherCommand",  "[[allow]]\nid = \"d\"\ncommands = [\"@sync\"]\n[[allow.exec]]\n" + kHead, "5:1: error: 'exec' means nothing here: the rule does not allow guest-exec"},
    Mistake{"UnknownKey",    with(kHead + "runas = \"root\"\n"), "9:1: error: unknown key 'runas' in an 'exec' table; did you mean 'run_as'?"},
    Mistake{"NoProgram",     with("run_as = \"nobody\"\nargs = []\n"), "5:1: error: an 'exec' table needs 'program', an absolute path"},
    Mistake{"NoArgs",        with("program = \"/bin/p\"\nrun_as = \"nobody\"\n"), "5:1: error: an 'exec' table needs 'args': a list of words, [] for none, or \"any\""},
    Mistake{"NoRunAs",       with("program = \"/bin/p\"\nargs = []\n"), "5:1: error: an 'exec' table needs 'run_as', a user, like \"nobody\""},
    Mistake{"Relative",      with("program = \"p\"\nrun_as = \"nobody\"\nargs = []\n"), "6:11: error: 'program' must be an absolute path"},
    Mistake{"NotShortest",   with("program = \"/bin/../p\"\nrun_as = \"nobody\"\nargs = []\n"), "6:11: error: 'program' is not in its shortest form; did you mean '/p'?"},
    Mistake{"AnyOfSome",     with("program = \"any\"\nrun_as = \"nobody\"\nargs = []\n"), "6:11: error: 'program' is \"any\": then 'args' must be \"any\" as well"},
    Mistake{"Line",          with_args("\"--unit db\""), "8:8: error: 'args' is a list with one element for each word, never a line; only \"any\" stands alone"},
    Mistake{"NumberAsWord",  with_args("[1]"), "8:9: error: 'args' must be a list of elements, each a string, { one_of = [\"a\", \"b\"] }, { int = [1, 10] }, { under = \"/DIRECTORY\" } or { name = 64 }, not an integer"},
    Mistake{"UnknownPlace",  with_args("[{ nam = 3 }]"), "8:11: error: unknown key 'nam' in an element of 'args'; did you mean 'name'?"},
    Mistake{"TwoPlaces",     with_args("[{ name = 3, int = [1, 2] }]"), "8:9: error: an element of 'args' is a string, { one_of = [\"a\", \"b\"] }, { int = [1, 10] }, { under = \"/DIRECTORY\" } or { name = 64 }"},
    Mistake{"RangeReversed", with_args("[{ int = [10, 1] }]"), "8:17: error: 'int' holds no number; did you mean [1, 10]?"},
    Mistake{"RangeOfOne",    with_args("[{ int = [10] }]"), "8:17: error: 'int' must be the least and the greatest number, like [1, 10]"},
    Mistake{"NameOfNone",    with_args("[{ name = 0 }]"), "8:18: error: 'name' must be from 1 to 4095"},
    Mistake{"UnderRelative", with_args("[{ under = \"srv\" }]"), "8:19: error: 'under' must be an absolute path"},
    Mistake{"UnderSlash",    with_args("[{ under = \"/srv/\" }]"), "8:19: error: 'under' is not in its shortest form; did you mean '/srv'?"},
    Mistake{"UnknownUser",   with("program = \"/bin/p\"\nrun_as = \"nobdy\"\nargs = []\n"), "7:10: error: no user 'nobdy' in /etc/passwd; did you mean 'nobody'?"},
    Mistake{"OutputUnit",    with_args("[]", "output = \"1MB\"\n"), "9:10: error: 'output' must be a size like \"64KiB\", at most 16 MiB; did you mean \"1MiB\"?"},
    Mistake{"OutputTooMuch", with_args("[]", "output = \"17MiB\"\n"), "9:10: error: 'output' must be a size like \"64KiB\", at most 16 MiB"},
    Mistake{"InputTooMuch",  with_args("[]", "input = \"2MiB\"\n"), "9:9: error: 'input' must be a size like \"64KiB\", at most 1 MiB"},
    Mistake{"Runtime",       with_args("[]", "max_runtime = \"2d\"\n"), "9:15: error: 'max_runtime' must be from 1 ms to 24 hours, like \"500ms\", \"30s\" or \"5m\""},
    Mistake{"Concurrent",    with_args("[]", "concurrent = 0\n"), "9:14: error: 'concurrent' must be a number from 1 to 32"},
    Mistake{"EnvName",       with_args("[]", "env = { \"A=B\" = \"1\" }\n"), "9:9: error: 'A=B' is no name of a variable"},
    Mistake{"EnvNumber",     with_args("[]", "env = { A = 1 }\n"), "9:13: error: 'env' must be a string, not an integer"},
    Mistake{"HostEnv",       with_args("[]", "host_env = [\"A=1\"]\n"), "9:13: error: 'A=1' is no name of a variable"},
    Mistake{"ConfineKey",    with_args("[]", "confine = { net = false }\n"), "9:13: error: unknown key 'net' in 'confine'; did you mean 'network'?"},
    Mistake{"ConfineFlag",   with_args("[]", "confine = { network = \"no\" }\n"), "9:23: error: 'network' must be true or false, not a string"},
    Mistake{"WriteWith",     with_args("[]", "confine = { write = [\"/a\"], no_new_privileges = false }\n"), "9:49: error: 'write' needs no_new_privileges = true: with new ones it could be put off"},
    Mistake{"TwoWays",       with_args("[{ name = 3 }]") + "[[allow.exec]]\nprogram = \"/bin/p\"\nrun_as = \"root\"\nargs = [\"web\"]\n", "2:1: error: rules 'x' (p.toml:2) and 'x' let the same words of '/bin/p' be started by two 'exec' tables; order does not matter, so one table must say how"},
    Mistake{"TwoWaysOfAny",  with_args("[]") + "[[allow]]\nid = \"y\"\ncommands = [\"@exec\"]\n[[allow.exec]]\nprogram = \"any\"\nrun_as = \"root\"\nargs = \"any\"\n", "9:1: error: rules 'x' (p.toml:2) and 'y' let the same words of a program be started by two 'exec' tables; order does not matter, so one table must say how"}),
    [](const auto& one) { return std::string(one.param.name); });
// clang-format on

TEST(ExecRule, TablesThatCannotMeetStandBesideEachOther) {
    const std::string more = "[[allow.exec]]\nprogram = \"/bin/p\"\nrun_as = \"root\"\nargs = ";
    for (const char* args :
         {"[\"a\", \"b\"]", "[\"webs\"]", "[{ under = \"/srv\" }]", "[{ int = [-9, -1] }]", "[\"-a\"]"})
        EXPECT_TRUE(compiled_of(with_args("[{ name = 3 }]") + more + args + "\n")) << args;
    EXPECT_TRUE(compiled_of(with_args("[{ under = \"/srv\" }]") + more + "[{ under = \"/srvs\" }]\n"));
    EXPECT_FALSE(compiled_of(with_args("[{ under = \"/srv\" }]") + more + "[{ under = \"/srv/a\" }]\n"));
    EXPECT_FALSE(compiled_of(with_args("[{ int = [1, 5] }]") + more + "[{ int = [5, 9] }]\n"));
    EXPECT_TRUE(compiled_of(with_args("[{ int = [1, 5] }]") + more + "[{ int = [6, 9] }]\n"));
}

// A compiler that was taken over writes what it likes.
using T = ipc::ExecTemplate;
struct Broken {
    const char* name;
    void (*breaks)(ipc::ExecTemplate&);
};
void PrintTo(const Broken& one, std::ostream* out) {
    *out << one.name;
}
class BrokenTemplate : public testing::TestWithParam<Broken> {};

TEST_P(BrokenTemplate, IsNotLoaded) {
    auto compiled = *compiled_of(with_args("[\"a\", { name = 2 }]"));
    ASSERT_TRUE(load(compiled.SerializeAsString()));
    GetParam().breaks(*compiled.mutable_rules(0)->mutable_exec(0));
    EXPECT_FALSE(load(compiled.SerializeAsString()));
}

// clang-format off
INSTANTIATE_TEST_SUITE_P(, BrokenTemplate, testing::Values(
    Broken{"NobodysUid",      [](T& it) { it.set_uid(0xFFFFFFFF); }},
    Broken{"NobodysGid",      [](T& it) { it.set_gid(0xFFFFFFFF); }},
    Broken{"NobodysGroup",    [](T& it) { it.add_groups(0xFFFFFFFF); }},
    Broken{"GroupTwice",      [](T& it) { it.add_groups(65534); }},
    Broken{"RelativeProgram", [](T& it) { it.set_program("bin/p"); }},
    Broken{"DottedProgram",   [](T& it) { it.set_program("/bin/../p"); }},
    Broken{"AnyProgram",      [](T& it) { it.set_program(""); }},
    Broken{"AnyAndSome",      [](T& it) { it.set_any_args(true); }},
    Broken{"NoWord",          [](T& it) { it.add_args(); }},
    Broken{"NulInAWord",      [](T& it) { it.add_args()->set_text(std::string("a\0b", 3)); }},
    Broken{"EmptyChoice",     [](T& it) { it.add_args()->mutable_one_of(); }},
    Broken{"ReversedRange",   [](T& it) { it.add_args()->mutable_number()->set_least(1); }},
    Broken{"RelativeUnder",   [](T& it) { it.add_args()->set_under("srv"); }},
    Broken{"NameOfNone",      [](T& it) { it.add_args()->set_name(0); }},
    Broken{"MoreOutput",      [](T& it) { it.set_output((16U << 20U) + 1); }},
    Broken{"NoOutput",        [](T& it) { it.set_output(0); }},
    Broken{"MoreInput",       [](T& it) { it.set_input((1U << 20U) + 1); }},
    Broken{"NoTime",          [](T& it) { it.set_max_runtime_ms(0); }},
    Broken{"MoreTime",        [](T& it) { it.set_max_runtime_ms(24 * 3'600'000 + 1); }},
    Broken{"NoneAtATime",     [](T& it) { it.set_concurrent(0); }},
    Broken{"MoreAtATime",     [](T& it) { it.set_concurrent(33); }},
    Broken{"EnvWithoutName",  [](T& it) { it.add_env("=1"); }},
    Broken{"EnvWithoutValue", [](T& it) { it.add_env("A"); }},
    Broken{"HostEnvAssigned", [](T& it) { it.add_host_env("A=1"); }},
    Broken{"AnyEnvAndSome",   [](T& it) { it.set_any_env(true); it.add_host_env("A"); }},
    Broken{"WritesRelative",  [](T& it) { it.mutable_confine()->set_no_new_privileges(true); it.mutable_confine()->add_write("a"); }},
    Broken{"WritesWithNew",   [](T& it) { it.mutable_confine()->add_write("/a"); }},
    Broken{"RuleOfItsOwn",    [](T& it) { it.set_rule("y"); }},
    Broken{"TimesOfItsOwn",   [](T& it) { it.mutable_times()->mutable_own()->set_expires(5); }}),
    [](const auto& one) { return std::string(one.param.name); });
// clang-format on

TEST(ExecRule, TablesBeyondOneFrameAreRefused) {
    std::string rules = kRule;
    for (int at = 0; at < 20; ++at)
        rules += "[[allow.exec]]\nprogram = \"/bin/p" + std::to_string(at) +
                 "\"\nrun_as = \"nobody\"\nargs = [\"" + std::string(4000, 'a') + "\"]\n";
    const auto compiled = compiled_of(rules);
    ASSERT_FALSE(compiled);
    EXPECT_EQ(compiled.error(), "p.toml:1:1: error: policy: 'exec' tables and 'users' are too long in all\n");
}

}  // namespace
}  // namespace sallyport::policy
