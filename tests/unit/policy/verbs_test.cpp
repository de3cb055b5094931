// The verbs that stand on the analysis, as an admin types them: what they print, and their statuses.
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <string>

#include "tests/support/run_tool.hpp"
#include "tests/support/scratch.hpp"

namespace sallyport::policy {
namespace {

using test::Said;

/// The path of the tool under test, from the command line.
std::string& tool() {
    static std::string path;
    return path;
}

const std::string kExport =
    "schema = 1\n[[allow]]\nid = \"export\"\ncommands = [\"@file\"]\n"
    "files = [{ under = \"/srv/export\", access = [\"read\"], max_size = \"1MiB\" }]\n";

class Verbs : public testing::Test {
protected:
    Said run(const std::string& words) {
        Said said = test::run_tool(tool(), scratch_.path(), words);
        EXPECT_FALSE(said.has("\033")) << "colour is for terminals: " << said.text;
        return said;
    }
    void write(const std::string& name, const std::string& text) { scratch_.write(name, text); }

    test::Scratch scratch_;
};

TEST_F(Verbs, DiffSaysByItsStatusInWhichDirectionAPolicyGoes) {
    write("a.toml", kExport);
    write("b.toml", kExport + "[[deny]]\nid = \"keys\"\nfiles = [{ under = \"/srv/export/keys\" }]\n");
    EXPECT_EQ(run("diff a.toml a.toml").status, 0);
    const Said narrower = run("diff a.toml b.toml");
    EXPECT_EQ(narrower.status, 3);
    EXPECT_EQ(narrower.text,
              "narrower: guest-file-open path=/srv/export/keys/file mode=r kind=regular owner=0 size=0\n"
              "    before: by rule 'export' (a.toml:2)\n    after:  denied by rule 'keys' (b.toml:6)\n");
    EXPECT_EQ(run("diff b.toml a.toml").status, 4);
    EXPECT_TRUE(run("diff --json b.toml a.toml")
                    .has("{\"verdict\":\"wider\",\"differences\":[{\"direction\":\"wider\",\"request\":"));
    EXPECT_EQ(run("diff a.toml nothing.toml").status, 1);
    EXPECT_EQ(run("diff a.toml").status, 2);
}

TEST_F(Verbs, DiffNotesANeverRuleThatIsGone) {
    write("a.toml", kExport + "[[never]]\nid = \"no-shell\"\ncommands = [\"guest-exec\"]\n");
    write("b.toml", kExport);
    const Said said = run("diff a.toml b.toml");
    EXPECT_EQ(said.status, 0);
    EXPECT_TRUE(said.has("note: never rule 'no-shell' (a.toml:6) is not in the second policy\n"));
}

TEST_F(Verbs, ExplainShowsTheLineWithACaretAndTheLeastChange) {
    write("a.toml", kExport);
    const Said said =
        run("explain a.toml guest-file-open path=/srv/export/a size=2MiB time=2030-01-01T00:00:00Z");
    EXPECT_EQ(said.status, 3);
    EXPECT_EQ(said.text,
              "refused: guest-file-open path=/srv/export/a mode=r kind=regular owner=0 size=2097152 "
              "time=2030-01-01T00:00:00Z\n"
              "  no allow rule matches\n"
              "rules that fail by one thing alone:\n"
              "  'export' (a.toml:2): 'max_size' does not take size=2097152\n"
              "    a.toml:5:54\n"
              "      files = [{ under = \"/srv/export\", access = [\"read\"], max_size = \"1MiB\" }]\n"
              "                                                           ^\n"
              "it would be allowed:\n"
              "  if 'max_size' of 'export' (a.toml:2) took size=2097152\n");
    EXPECT_EQ(run("explain a.toml guest-file-open path=/srv/export/a").status, 0);
    EXPECT_EQ(run("explain a.toml guest-file-open path").status, 2);
    EXPECT_TRUE(run("explain --json a.toml guest-file-open path=/srv/b")
                    .has("\"near\":[{\"rule\":\"export\",\"where\":\"a.toml:2\",\"entry\":0,\"missed\":["
                         "\"under\"]}]"));
}

// The rule that is proposed is one that the compiler takes and that allows the request.
TEST_F(Verbs, ExplainProposesARuleThatWorks) {
    write("a.toml", "schema = 1\n");
    for (const std::string request :
         {"guest-file-open path=/srv/a mode=w new=yes", "guest-shutdown mode=halt", "guest-get-time",
          "guest-exec program=/bin/a arg=b", "guest-fstrim mount=/srv", "guest-suspend-ram",
          "guest-set-user-password user=root", "guest-ssh-get-authorized-keys user=root",
          "guest-ssh-add-authorized-keys user=root key=ssh-rsa count=101 reset=yes",
          "guest-set-time step=-1s", "guest-set-vcpus cpus=1,4", "guest-set-memory-blocks blocks=7"}) {
        const Said said = run("explain a.toml " + request);
        ASSERT_EQ(said.status, 3) << said.text;
        const std::size_t rule = said.text.find("    [[allow]]");
        ASSERT_NE(rule, said.text.npos) << said.text;
        write("b.toml", "schema = 1\n" + said.text.substr(rule));
        const Said again = run("explain b.toml " + request);
        EXPECT_EQ(again.status, 0) << again.text;
    }
}

TEST_F(Verbs, ExplainReadsAHostsLineAndADecisionOfTheLog) {
    write("a.toml", kExport);
    EXPECT_EQ(run("explain a.toml '{\"execute\": \"guest-file-open\", \"arguments\": {\"path\": "
                  "\"/srv/export/../export/a\"}}'")
                  .status,
              0);
    EXPECT_EQ(run("explain a.toml '{\"execute\": \"guest-file-open\", \"arguments\": {\"path\": "
                  "\"/srv/export/a\", \"mode\": \"w\"}}'")
                  .status,
              3);
    EXPECT_EQ(run("explain a.toml '{\"execute\": 1}'").status, 2);
    write(
        "log",
        R"({"time":"2026-11-30T10:00:00.000001Z","boottime_us":1,"run":"aabb","seq":7,"session":1,"verdict":"refuse","what":"guest-file-open","arguments":{"path":"/etc/shadow","mode":"rb"},"reason":"no allow rule covers this path and mode","policy":"0000000000000000","prev":"00"})"
        "\n");
    const Said said = run("explain a.toml --denial aabb-7 --log log");
    EXPECT_EQ(said.status, 3);
    EXPECT_TRUE(
        said.has("the log says: refuse, no allow rule covers this path and mode\nit was another policy then: "
                 "0000000000000000\n"));
    EXPECT_TRUE(
        said.has("refused: guest-file-open path=/etc/shadow mode=r kind=regular owner=0 size=0 "
                 "time=2026-11-30T10:00:00Z\n"));
    EXPECT_EQ(run("explain a.toml --denial aabb-8 --log log").status, 2);
}

const std::string kScale =
    "schema = 1\n[[allow]]\nid = \"scale\"\ncommands = [\"@hardware\"]\ntime = { max_step = \"5m\" }\n"
    "vcpus = { min_online = 1, cpus = \"1-3\" }\nmemory = { blocks = \"8\" }\n"
    "[[allow]]\nid = \"login\"\ncommands = [\"@accounts\"]\nusers = [\"root\"]\ncrypted = \"only\"\n"
    "key_types = [\"ssh-ed25519\"]\n";

TEST_F(Verbs, ExplainReadsWhatAHostWantsSet) {
    write("a.toml", kScale);
    EXPECT_TRUE(
        run("explain a.toml '{\"execute\": \"guest-set-vcpus\", \"arguments\": {\"vcpus\": [{\"logical-id\": "
            "3, \"online\": false}, {\"logical-id\": 4, \"online\": true}]}}'")
            .has("refused: guest-set-vcpus cpus=3,4 "));
    EXPECT_EQ(run("explain a.toml '{\"execute\": \"guest-set-memory-blocks\", \"arguments\": {\"mem-blks\": "
                  "[{\"phys-index\": 8, \"online\": false}]}}'")
                  .status,
              0);
    EXPECT_TRUE(run("explain a.toml '{\"execute\": \"guest-set-time\", \"arguments\": {\"time\": 0}}'")
                    .has("'max_step' does not take step=-"));
    EXPECT_TRUE(
        run("explain a.toml '{\"execute\": \"guest-ssh-add-authorized-keys\", \"arguments\": {\"username\": "
            "\"root\", \"keys\": [\"ssh-rsa AAAAB3NzaC1yc2E= x\"], \"reset\": true}}'")
            .has("refused: guest-ssh-add-authorized-keys user=root key='ssh-rsa AAAAB3NzaC1yc2E= x' "
                 "reset=yes "));
    write(
        "log",
        R"({"time":"2026-11-30T10:00:00.000001Z","run":"aabb","seq":7,"verdict":"refuse","what":"guest-set-vcpus","arguments":{"set":"3=offline 4=online","count":2},"policy":"00"})"
        "\n"
        R"({"time":"2026-11-30T10:00:00.000001Z","run":"aabb","seq":8,"verdict":"refuse","what":"guest-set-user-password","arguments":{"user":"root","crypted":"no"},"policy":"00"})"
        "\n"
        R"({"time":"2026-11-30T10:00:00.000001Z","run":"aabb","seq":9,"verdict":"refuse","what":"guest-set-time","arguments":{"time":1,"step_ms":-600000},"policy":"00"})"
        "\n");
    EXPECT_TRUE(run("explain a.toml --denial aabb-7 --log log").has("refused: guest-set-vcpus cpus=3,4 "));
    EXPECT_TRUE(run("explain a.toml --denial aabb-8 --log log").has("'crypted' does not take crypted\n"));
    EXPECT_TRUE(run("explain a.toml --denial aabb-9 --log log").has("refused: guest-set-time step=-10m "));
}

TEST_F(Verbs, WhatAHostChoseDoesNotReachTheTerminalAsItIs) {
    write("a.toml", kExport);
    EXPECT_TRUE(run("explain a.toml guest-file-open \"$(printf 'path=/\\033[2Jx')\"").has("\\x1b[2Jx"));
}

TEST_F(Verbs, TestSaysWhatFailsWhatIsNotTriedAndWhatNobodyNotices) {
    write("a.toml", kExport);
    write("good",
          "[[case]]\nrequest = \"guest-file-open path=/srv/export/a\"\nexpect = \"allow\"\nrule = "
          "\"export\"\n");
    const Said good = run("test a.toml good");
    EXPECT_EQ(good.status, 0);
    EXPECT_TRUE(good.has("1 cases, 0 failed\n"));
    EXPECT_TRUE(good.has("  not tried: 'max_size' of 'export' (a.toml:2), files '/srv/export'\n"));
    EXPECT_EQ(run("test --min 50 a.toml good").status, 4);
    const Said mutants = run("test --mutate a.toml good");
    EXPECT_EQ(mutants.status, 4);
    EXPECT_TRUE(
        mutants.has("nobody notices if it is gone: 'max_size' of 'export' (a.toml:2), files '/srv/export'\n"
                    "    this case would: guest-file-open path=/srv/export/file mode=r kind=regular owner=0 "
                    "size=1048577\n"))
        << mutants.text;
    write("bad", "[[case]]\nrequest = \"guest-file-open path=/etc/a\"\nexpect = \"allow\"\n");
    const Said bad = run("test a.toml bad");
    EXPECT_EQ(bad.status, 3);
    EXPECT_TRUE(
        bad.has("bad:1: guest-file-open path=/etc/a mode=r kind=regular owner=0 size=0: expected allow, got "
                "refuse: no allow rule matches\n"));
    write("wrong", "[[case]]\nrequest = \"guest-file-opne\"\nexpct = \"allow\"\n");
    const Said wrong = run("test a.toml wrong");
    EXPECT_EQ(wrong.status, 1);
    EXPECT_TRUE(
        wrong.has("wrong:2:11: error: unknown command 'guest-file-opne'\nwrong:3:1: error: unknown key "
                  "'expct' in a case; did you mean 'expect'?\n"))
        << wrong.text;
}

TEST_F(Verbs, TheCasesThatCellsWritesTryEverything) {
    write("a.toml",
          kExport +
              "[[deny]]\nid = \"keys\"\nfiles = [{ under = \"/srv/export/keys\", access = [\"read\"] }]\n"
              "[[allow]]\nid = \"run\"\ncommands = [\"@exec\"]\n[[allow.exec]]\nprogram = \"/bin/a\"\nargs = "
              "[\"b c\", { int = [1, 5] }]\nrun_as = \"root\"\n" +
              kScale.substr(kScale.find("[[allow]]")));
    EXPECT_EQ(run("cells a.toml > cases").status, 0);
    const Said said = run("test --mutate --min 100 a.toml cases");
    EXPECT_EQ(said.status, 0) << said.text;
}

TEST_F(Verbs, CanAnswersWithWhatIsLeftOpen) {
    write("a.toml", kExport);
    const Said said = run("can a.toml guest-file-open 'path=/srv/**'");
    EXPECT_EQ(said.status, 0);
    EXPECT_EQ(said.text,
              "guest-file-open path=/srv/export/file mode=r kind=regular owner=0 size=0\n    by rule "
              "'export' (a.toml:2)\n");
    EXPECT_EQ(run("can a.toml guest-file-open 'path=/etc/**'").status, 3);
    EXPECT_EQ(run("can a.toml guest-file-open mode=w").status, 3);
    EXPECT_TRUE(run("can a.toml")
                    .has("guest-file-close\n    by rule 'export' (a.toml:2), and in 4 more cells; also "
                         "guest-file-read"));
}

TEST_F(Verbs, CheckNamesARuleThatCanNeverDecide) {
    write("a.toml", kExport + "[[deny]]\nid = \"all\"\nfiles = [{ under = \"/srv\" }]\n");
    EXPECT_TRUE(run("check a.toml")
                    .has("a.toml:2: warning: rule 'export': can never decide: all that it allows is denied "
                         "by 'all' (a.toml:6)\n"));
}

TEST_F(Verbs, CheckOfTheCompatProfileNamesNoRuleThatCanNeverDecide) {
    write("a.toml", "schema = 1\ninclude = \"profile:compat\"\n");
    const Said said = run("check a.toml");
    EXPECT_EQ(said.status, 0);
    EXPECT_FALSE(said.has("can never decide")) << said.text;
}

TEST_F(Verbs, EffectiveIsAPolicyOfTheSameAndFmtIsItsLayout) {
    write("a.toml", "include = 'profile:compat'\n" + kExport);
    EXPECT_EQ(run("effective a.toml > b.toml").status, 0);
    EXPECT_EQ(run("diff a.toml b.toml").status, 0);
    EXPECT_EQ(run("fmt --check b.toml").status, 0);
    EXPECT_EQ(run("fmt --check a.toml").status, 3);
    EXPECT_EQ(run("fmt a.toml > c.toml").status, 0);
    EXPECT_EQ(run("diff a.toml c.toml").status, 0);
    EXPECT_EQ(run("fmt --check c.toml").status, 0);
}

TEST_F(Verbs, DigestIsThatOfTheText) {
    write("a.toml", kExport);
    EXPECT_EQ(run("digest a.toml > d && test \"$(cat d)\" = \"$(sha256sum a.toml | cut -d' ' -f1)\"").status,
              0);
}

const std::string kNoKeys =
    "schema = 1\n[[deny]]\nid = \"keys\"\nfiles = [{ under = \"/srv/export/keys\" }]\n";

TEST_F(Verbs, TheFolderBesideAPolicyBelongsToIt) {
    write("p.toml", kExport);
    write("bare.toml", kExport);
    const std::string alone = run("digest p.toml").text;
    write("p.d/10-keys.toml", kNoKeys);
    const Said check = run("check p.toml");
    EXPECT_EQ(check.status, 0) << check.text;
    EXPECT_TRUE(check.has("  deny  keys (p.d/10-keys.toml:2)\n")) << check.text;
    EXPECT_NE(run("digest p.toml").text, alone);
    EXPECT_EQ(run("diff bare.toml p.toml").status, 3);
    EXPECT_EQ(run("diff --folder p.d bare.toml p.toml").status, 0);
    const Said explain = run("explain p.toml guest-file-open path=/srv/export/keys/a");
    EXPECT_EQ(explain.status, 3);
    EXPECT_TRUE(explain.has(
        "denied by rule 'keys' (p.d/10-keys.toml:2)\n    p.d/10-keys.toml:2:1\n      [[deny]]\n      ^\n"))
        << explain.text;
    EXPECT_TRUE(run("effective p.toml").has("# p.d/10-keys.toml:2\n[[deny]]\n"));
    write("cases.toml",
          "[[case]]\nrequest = \"guest-file-open path=/srv/export/keys/a\"\nexpect = \"refuse\"\nrule = "
          "\"keys\"\n");
    EXPECT_EQ(run("test p.toml cases.toml").status, 0);
    EXPECT_EQ(run("test bare.toml cases.toml").status, 3);
    EXPECT_EQ(run("test --folder p.d bare.toml cases.toml").status, 0);
    write("p.d/10-keys.toml~", "nothing");
    EXPECT_TRUE(
        run("check p.toml").has("p.d/10-keys.toml~: warning: not read: only names that end in .toml are"));
}

// As the starter does when it refuses them.
TEST_F(Verbs, CheckWarnsOfAFolderAndItsFilesThatOthersCanChange) {
    write("p.toml", kExport);
    write("p.d/10-keys.toml", kNoKeys);
    const char* const kWarning = "p.d/10-keys.toml: warning: the agent does not start with it: ";
    EXPECT_FALSE(run("check p.toml").has(kWarning));
    ASSERT_EQ(::chmod(scratch_.path("p.d/10-keys.toml").c_str(), 0664), 0);
    const Said file = run("check p.toml");
    EXPECT_EQ(file.status, 0);
    EXPECT_TRUE(file.has(kWarning)) << file.text;
    EXPECT_TRUE(file.has("/p.d/10-keys.toml: can be written by others: take that from them (chmod go-w)\n"));
    ASSERT_EQ(::chmod(scratch_.path("p.d/10-keys.toml").c_str(), 0644), 0);
    ASSERT_EQ(::chmod(scratch_.path("p.d").c_str(), 0757), 0);
    const Said folder = run("check p.toml");
    EXPECT_TRUE(folder.has(kWarning)) << folder.text;
    EXPECT_TRUE(folder.has("/p.d): can be written by others")) << folder.text;
}

TEST_F(Verbs, AVendorsFolderMayOnlyTakeAway) {
    write("p.toml", kExport);
    write("vendor/50.toml", kNoKeys);
    EXPECT_TRUE(run("check --vendor-folder vendor p.toml").has("  deny  keys (vendor/50.toml:2)\n"));
    write("vendor/60.toml", "schema = 1\n[[allow]]\nid = \"more\"\ncommands = [\"@info\"]\n");
    const Said said = run("check --vendor-folder vendor p.toml");
    EXPECT_EQ(said.status, 1);
    EXPECT_TRUE(said.has("vendor/60.toml:2:1: error: a vendor's file may only deny and say never"))
        << said.text;
}

TEST_F(Verbs, WhatCannotBeReadOfAFolderIsAnErrorThatNamesIt) {
    write("p.toml", kExport);
    EXPECT_TRUE(run("check --folder nowhere p.toml").has("sallyport-policy: nowhere: cannot be opened"));
    write("p.d/a.toml", kNoKeys);
    EXPECT_EQ(run("check p.toml; ln -s a.toml p.d/b.toml").status, 0);
    const Said link = run("check p.toml");
    EXPECT_EQ(link.status, 1);
    EXPECT_TRUE(link.has("p.d/b.toml: is a symbolic link")) << link.text;
}

}  // namespace
}  // namespace sallyport::policy

int main(int argc, char** argv) {
    testing::InitGoogleTest(&argc, argv);
    if (argc != 2) return 2;
    sallyport::policy::tool() = argv[1];
    return RUN_ALL_TESTS();
}
