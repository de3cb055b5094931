// learn: the smallest rules that allow what a log has, as a part of a policy that is in force. What is printed was proved.
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <ctime>
#include <string>
#include <vector>

#include "policy/guest_path.hpp"
#include "policy/tool/analyse/diff.hpp"
#include "policy/tool/analyse/words.hpp"
#include "policy/tool/compile/compile.hpp"
#include "policy/tool/compile/effective.hpp"
#include "policy/tool/compile/passwd.hpp"
#include "policy/tool/compile/problems.hpp"
#include "policy/tool/log/learnt.hpp"
#include "policy/tool/verbs/confined.hpp"
#include "policy/tool/verbs/files.hpp"
#include "policy/tool/verbs/json.hpp"
#include "policy/tool/verbs/logs.hpp"
#include "policy/tool/verbs/verb.hpp"

namespace sallyport::policy::cli {

namespace {

constexpr std::string_view kAnything = "schema = 1\ninclude = [\"profile:compat\"]\n";
constexpr std::string_view kProfile = "compat-";
constexpr std::size_t kMostExamples = 5;

struct Counts {
    std::uint64_t learnt = 0;
    std::uint64_t refused_then = 0;
    std::uint64_t refused_by_policy = 0;
    std::uint64_t inexact = 0;
    std::uint64_t unsayable = 0;
    std::uint64_t too_many = 0;
    WallTime first = 0;
    WallTime last = 0;
    std::vector<std::string> not_learnt;  // examples
};

bool is_utf8(std::string_view text) {
    while (!text.empty()) {
        const compile::Character first = compile::first_character(text);
        if (first.size == 1 && first.code >= 0x80) return false;
        text.remove_prefix(first.size);
    }
    return true;
}

// THREAT: a host asks once for what no policy can name, so that nothing would be learnt from the whole log: a path that is no UTF-8, a program
// without its directory, a user who is not there, a processor below 0.
bool can_be_said(const analyse::Request& request, const compile::Passwd& passwd) {
    using enum analyse::Subject;
    const analyse::Subject subject = analyse::subject_of(request.command);
    if (subject == kFiles) return is_utf8(request.file.path);
    if (subject == kAccounts)
        return passwd.find(request.account.user) && std::ranges::all_of(request.account.keys, is_utf8);
    if (subject == kProcessors)
        return std::ranges::all_of(request.set.numbers, [](std::uint64_t one) { return one <= INT64_MAX; });
    if (subject != kExec) return true;
    const auto program = GuestPath::parse(request.exec.program, "/");
    return program && program->text() == request.exec.program && is_utf8(request.exec.program) &&
           std::ranges::all_of(request.exec.args, is_utf8) &&
           std::ranges::all_of(request.exec.env.value_or(std::vector<std::string>()), is_utf8);
}

/// A descriptor's path for a policy that is in no file.
std::string path_of_anything() {
    const int file = ::memfd_create("policy", 0);
    if (file < 0 || !write_all(FdRef(file), kAnything)) return {};
    ::lseek(file, 0, SEEK_SET);
    return "/proc/self/fd/" + std::to_string(file);
}

class Learning {
public:
    Learning(const LearnArguments& arguments, OpenLogs& open)
        : arguments_(arguments),
          open_(open),
          old_(open.files.policies[0]),
          passwd_(open.files.passwd, open.files.group),
          replay_(old_.policy, log::Replay::Parts::kNo,
                  [this](const analyse::Request& request) { return can_be_said(request, passwd_); }) {}

    /// Whether all files could be read.
    bool read() {
        const auto reading = open_.logs.read([&](const log::Record& record, const log::Place&) {
            const log::Answer* const answer = wish_in(record);
            if (answer == nullptr) return;
            const WallTime time = log::seconds_of(record.time).value_or(0);
            counts_.first = counts_.first == 0 ? time : std::min(counts_.first, time);
            counts_.last = std::max(counts_.last, time);
            ++counts_.learnt;
            learnt_.count(*answer, time);
            if (replay_.was_new() && !learnt_.take(*answer, replay_.request())) ++counts_.too_many;
        });
        return tell_reading(reading);
    }

    /// Compiles what was learnt. False, and a complaint, if it cannot stand.
    bool propose() {
        auto narrowed = learnt_.narrowed(old_.compiled);
        if (arguments_.log.policy.empty()) tighten(narrowed);
        describe_rules(narrowed);
        text_ = compile::effective_text({.policy = narrowed, .nevers = old_.nevers}, passwd_);
        auto compiled = compile::compile_policy({.text = text_,
                                                 .name = "learnt",
                                                 .passwd = open_.files.passwd,
                                                 .group = open_.files.group,
                                                 .zones = zones_in(open_.files.zones)});
        if (!compiled) return complain("what was learnt does not compile:\n" + compiled.error()), false;
        auto policy = load(compiled->SerializeAsString());
        if (!policy) return complain(describe("learnt", policy.error())), false;
        proposed_ = *std::move(policy);
        return true;
    }

    /// Nothing that the policy refuses is allowed by the proposal, and every request that was learnt is.
    bool prove() {
        for (const auto& one : analyse::differences(old_.policy, proposed_, std::time(nullptr)))
            if (one.direction == analyse::Direction::kWider && one.terms.empty()) {
                complain("not proved: it would allow " +
                         compile::printable(line_of(one.witness, false), 1024) + "\n");
                return false;
            }
        log::Replay again(proposed_);
        bool holds = true;
        open_.logs.read([&](const log::Record& record, const log::Place&) {
            // What the proposal allows, the policy allows, too.
            if (!holds || again.ask(record).is_allowed() || wish_in(record) == nullptr) return;
            holds = false;
            complain("not proved: it would refuse " + words_of(record) + "\n");
        });
        if (!holds && counts_.too_many != 0)
            complain("there are more kinds of requests than are kept: " + std::to_string(counts_.too_many) +
                     " too many\n");
        return holds;
    }

    [[nodiscard]] std::string in_words() const {
        const bool is_given = !arguments_.log.policy.empty();
        std::string text =
            "# Learnt from " + std::to_string(counts_.learnt) + " requests, from " +
            analyse::show_time(counts_.first) + " to " + analyse::show_time(counts_.last) +
            ".\n# Proved: it allows each of them, and nothing that " +
            (is_given ? compile::printable(arguments_.log.policy) + " refuses or its never rules forbid"
                      : std::string("profile:compat refuses")) +
            ".\n";
        if (!is_given)
            text +=
                "# What a log does not show is as narrow as it can be: regular files, no links, any owner "
                "and size.\n";
        const auto left_out = [&](std::uint64_t count, const char* why) {
            if (count != 0) text += "# Left out: " + std::to_string(count) + " requests " + why + ".\n";
        };
        left_out(counts_.refused_then, "that were refused then; --refused learns them, too");
        left_out(counts_.refused_by_policy, "that the policy refuses");
        left_out(counts_.inexact, "that the log does not have as a whole");
        left_out(counts_.unsayable, "that no policy of this machine can name");
        for (const std::string& example : counts_.not_learnt) text += "#   " + example + "\n";
        return text + text_;
    }

    [[nodiscard]] std::string in_json() const {
        std::vector<std::string> rules;
        for (const auto& [rule, use] : learnt_.rules())
            rules.push_back(JsonObject()
                                .add("from", old_.policy.rules[rule].id)
                                .add("count", use.count)
                                .add("first", analyse::show_time(use.first))
                                .add("last", analyse::show_time(use.last))
                                .text());
        return JsonObject()
                   .add("requests", counts_.learnt)
                   .add("refused_then", counts_.refused_then)
                   .add("refused_by_policy", counts_.refused_by_policy)
                   .add("inexact", counts_.inexact)
                   .add("unsayable", counts_.unsayable)
                   .add_value("not_learnt", json_strings(counts_.not_learnt))
                   .add_value("rules", json_list(rules))
                   .add("policy", text_)
                   .text() +
               "\n";
    }

private:
    /// What of a record is learnt; null if it is nothing. Counts what is not, when it is read for the first time.
    const log::Answer* wish_in(const log::Record& record) {
        if (!arguments_.log.takes(record.time)) return nullptr;
        const log::Answer& answer = replay_.ask(record);
        if (!answer.is_decided) return nullptr;
        // What a dry run would have allowed the admin himself has thought of.
        if (record.verdict == "refuse" && record.would != "allow" && !arguments_.has_refused)
            return leave_out(counts_.refused_then, record);
        if (!answer.is_exact) return leave_out(counts_.inexact, record);
        if (!answer.is_allowed()) return leave_out(counts_.refused_by_policy, record);
        if (!answer.can_be_said) return leave_out(counts_.unsayable, record);
        return &answer;
    }

    const log::Answer* leave_out(std::uint64_t& count, const log::Record& record) {
        if (!text_.empty()) return nullptr;
        ++count;
        if (counts_.not_learnt.size() >= kMostExamples) return nullptr;
        const std::string line = words_of(record);
        const bool is_known = std::ranges::find(counts_.not_learnt, line) != counts_.not_learnt.end();
        if (!is_known) counts_.not_learnt.push_back(line);
        return nullptr;
    }

    static std::string words_of(const log::Record& record) {
        const auto asked = log::asked_of(record);
        return asked ? compile::printable(line_of(asked->request, false), 512) : std::string(record.what);
    }

    /// Of files that nobody has said more of: those that the language takes by itself.
    static void tighten(compiled::Compiled& policy) {
        for (compiled::Rule& rule : *policy.mutable_rules()) {
            if (rule.id().starts_with(kProfile)) rule.set_id("learnt-" + rule.id().substr(kProfile.size()));
            for (compiled::FileRule& file : *rule.mutable_files()) {
                file.clear_kinds();
                file.clear_follow_symlinks();
                file.clear_any_links();
                file.clear_any_setid();
                file.clear_create_mode();
            }
        }
    }

    /// The place of each rule becomes what was seen of it: effective_text() writes it as a comment.
    void describe_rules(compiled::Compiled& policy) const {
        auto use = learnt_.rules().begin();
        for (compiled::Rule& rule : *policy.mutable_rules()) {
            if (rule.effect() != compiled::Rule::ALLOW) continue;
            rule.set_where("seen " + std::to_string(use->second.count) + " times, last " +
                           analyse::show_time(use->second.last) + "; of " + rule.where());
            ++use;
        }
    }

    const LearnArguments& arguments_;
    OpenLogs& open_;
    const Loaded& old_;
    const compile::Passwd passwd_;
    log::Replay replay_;
    log::Learnt learnt_;
    Counts counts_;
    std::string text_;
    Policy proposed_;
};

}  // namespace

int run_learn(const LearnArguments& arguments) {
    const std::string path = arguments.log.policy.empty() ? path_of_anything() : arguments.log.policy;
    auto open = open_logs(arguments.log.logs, {path});
    if (!open) return kFailure;
    if (!open->logs.can_be_read_again()) {
        complain("sallyport-policy: learn reads its logs twice, so none can be a pipe\n");
        return kUsage;
    }
    Learning learning(arguments, *open);
    if (!learning.read() || !learning.propose() || !learning.prove()) return kFailure;
    print(arguments.log.as_json ? learning.in_json() : learning.in_words());
    return kSuccess;
}

}  // namespace sallyport::policy::cli
