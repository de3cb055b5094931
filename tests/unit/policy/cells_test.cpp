// The exact analysis rests on one sentence: requests of one cell are decided alike, and each request lies in a cell.
#include "policy/tool/analyse/cells.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <set>

#include "policy/tool/analyse/decider.hpp"
#include "policy/tool/analyse/words.hpp"
#include "tests/unit/policy/random_policy.hpp"

namespace sallyport::policy::analyse {
namespace {

constexpr int kPolicies = 300;
constexpr int kRequests = 400;

/// The clauses that a request matches, by rule and entry.
using Matched = std::set<std::pair<std::size_t, std::size_t>>;

/// What else of it decides, whatever the clauses say: whether it is about a thing at all.
using Cell = std::pair<CommandId, Matched>;

Cell cell_of(const Policy& policy, const Request& request) {
    Cell cell{request.command, {}};
    for (const Clause& clause : clauses_of(policy, request.command))
        if (meets(clause, request)) cell.second.emplace(clause.rule, clause.entry);
    return cell;
}

// The terms of a new file are others.
std::string answer_of(const Decider& decider, const Request& request) {
    const Outcome outcome = decider.decide(request);
    std::string text = outcome.is_allowed() ? "yes" : "no";
    for (const Term& term : outcome.terms)
        if (term.key != "create_mode") text += " " + std::string(term.key) + "=" + term.text;
    return text;
}

TEST(Cells, TwoRequestsThatMatchTheSameClausesGetOneVerdict) {
    random::Source source(1);
    for (int number = 0; number < kPolicies; ++number) {
        const Policy policy = random::policy(source, 1 + source.below(6));
        const Decider decider(policy);
        std::map<Cell, std::pair<std::string, Request>> answers;
        for (int at = 0; at < kRequests; ++at) {
            const Request request = source.request();
            const std::string answer = answer_of(decider, request);
            const auto [found, is_new] =
                answers.emplace(cell_of(policy, request), std::pair(answer, request));
            ASSERT_EQ(found->second.first, answer) << line_of(request, true) << "\n"
                                                   << line_of(found->second.second, true);
        }
    }
}

TEST(Cells, EveryRequestLiesInACellThatIsFound) {
    random::Source source(2);
    for (int number = 0; number < kPolicies; ++number) {
        const Policy policy = random::policy(source, 1 + source.below(6));
        std::set<Cell> cells;
        for (const Command& command : kCommands)
            for_each_cell({.policies = {&policy},
                           .from = {.command = command.id, .time = random::kFirst},
                           .until = Until::kClauses},
                          [&](const Request& request, const Alive&) {
                              return cells.insert(cell_of(policy, request)), true;
                          });
        for (int at = 0; at < kRequests; ++at) {
            const Request request = source.request();
            ASSERT_TRUE(cells.contains(cell_of(policy, request))) << line_of(request, true);
        }
    }
}

TEST(Cells, WhatIsLeftInACellIsWhatItsRequestMatches) {
    random::Source source(3);
    for (int number = 0; number < kPolicies; ++number) {
        const Policy policy = random::policy(source, 1 + source.below(6));
        for (const Command& command : kCommands)
            for_each_cell({.policies = {&policy},
                           .from = {.command = command.id, .time = random::kFirst},
                           .until = Until::kClauses},
                          [&](const Request& request, const Alive& alive) {
                              Matched left;
                              for (const Clause* clause : alive) left.emplace(clause->rule, clause->entry);
                              EXPECT_EQ(left, cell_of(policy, request).second) << line_of(request, true);
                              return !testing::Test::HasFailure();
                          });
        ASSERT_FALSE(HasFailure());
    }
}

TEST(Cells, StopWhereTheVerdictIsSettled) {
    const auto policy = random::compiled(
        "schema = 1\n[[allow]]\nid = \"a\"\ncommands = [\"guest-get-time\"]\n[[deny]]\nid = \"d\"\ncommands "
        "= [\"guest-file-open\"]\n"
        "[[allow]]\nid = \"f\"\ncommands = [\"@file\"]\nfiles = [{ under = \"/srv\", access = [\"read\"] "
        "}]\n");
    ASSERT_TRUE(policy);
    int cells = 0;
    for_each_cell({.policies = {&*policy}, .from = {.command = CommandId::kFileOpen}},
                  [&](const Request&, const Alive&) { return ++cells, true; });
    EXPECT_EQ(cells, 1);
}

TEST(Cells, RequestsAreReadFromTheWordsInWhichTheyAreShown) {
    random::Source source(4);
    for (int at = 0; at < 2000; ++at) {
        const Request request = source.request();
        std::vector<std::string> words{std::string(command_row(request.command).name)};
        for (const auto& [name, value] : words_of(request, true)) words.push_back(name + "=" + value);
        Request empty{.time = 1};
        const auto read = read_words(words, empty);
        ASSERT_TRUE(read) << read.error();
        EXPECT_EQ(line_of(*read, true), line_of(request, true));
    }
}

std::string line_read(const std::vector<std::string>& words) {
    const auto read = read_words(words, {});
    return read ? line_of(*read, false) : read.error();
}

TEST(Words, AKeyIsItsOptionsAndItsTypeOrTheWholeLine) {
    const auto read = read_words({"guest-ssh-add-authorized-keys", "user=alice", "key=restrict ssh-ed25519",
                                  "key=ssh-rsa AAAAB3NzaC1yc2EAAAADAQAB a@b", "count=7", "reset=yes"},
                                 {});
    ASSERT_TRUE(read);
    EXPECT_EQ(read->account.keys.front(), "restrict ssh-ed25519 AAAAC3NzaC1lZDI1NTE5");
    EXPECT_EQ(line_of(*read, false),
              "guest-ssh-add-authorized-keys user=alice key='restrict ssh-ed25519' "
              "key='ssh-rsa AAAAB3NzaC1yc2EAAAADAQAB a@b' count=7 reset=yes");
    EXPECT_EQ(line_read({"guest-set-user-password", "secret=x"}),
              "guest-set-user-password has no 'secret'; it has user, crypted, key, count, reset, time");
    EXPECT_EQ(line_read({"guest-ssh-get-authorized-keys", "crypted=yes"}), "'yes' is no value of 'crypted'");
}

TEST(Words, StepsHaveASignAndAUnit) {
    EXPECT_EQ(line_read({"guest-set-time"}), "guest-set-time");
    EXPECT_EQ(line_read({"guest-set-time", "step=-300s"}), "guest-set-time step=-5m");
    EXPECT_EQ(line_read({"guest-set-time", "step=+1500ms"}), "guest-set-time step=1500ms");
    EXPECT_EQ(line_read({"guest-set-time", "step=5"}), "'5' is no value of 'step'");
    EXPECT_EQ(line_read({"guest-set-time", "step=9000000h"}), "'9000000h' is no value of 'step'");
}

TEST(Words, ProcessorsAndBlocksAreNumbersAndSpans) {
    EXPECT_EQ(line_read({"guest-set-vcpus", "cpus=0-2,7"}), "guest-set-vcpus cpus=0,1,2,7");
    EXPECT_EQ(line_read({"guest-set-memory-blocks", "blocks=7"}), "guest-set-memory-blocks blocks=7");
    for (const std::string wrong : {"", "3-1", "-1", "1,", "a", "0-99999"})
        EXPECT_EQ(line_read({"guest-set-vcpus", "cpus=" + wrong}), "'" + wrong + "' is no value of 'cpus'");
}

TEST(Words, WhatCannotBeReadIsNamed) {
    const Request from{};
    EXPECT_EQ(read_words({"guest-file-opne"}, from).error(), "unknown command 'guest-file-opne'");
    EXPECT_EQ(
        read_words({"guest-file-open", "pth=/a"}, from).error(),
        "guest-file-open has no 'pth'; it has path, mode, new, kind, owner, link, links, setid, size, time");
    EXPECT_EQ(read_words({"guest-file-open", "mode=x"}, from).error(), "'x' is no value of 'mode'");
    EXPECT_EQ(read_words({"guest-file-open", "mode"}, from).error(), "'mode' is not of the form NAME=VALUE");
}

}  // namespace
}  // namespace sallyport::policy::analyse
