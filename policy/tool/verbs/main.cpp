// sallyport-policy: checks and compiles policies. Works unprivileged, on copies, without a running agent.
// Runs in:  the admin's shell; a short-lived process of the agent's start
#include <CLI/CLI.hpp>
#include <array>
#include <memory>
#include <sstream>
#include <string>
#include <utility>
#include <vector>

#include "ipc/codec.hpp"
#include "policy/tool/compile/problems.hpp"
#include "policy/tool/verbs/declare.hpp"
#include "policy/tool/verbs/files.hpp"
#include "policy/tool/verbs/verb.hpp"

namespace {

using namespace sallyport::policy::cli;
namespace compile = sallyport::policy::compile;

Run declare_bench(CLI::App& command) {
    const auto path = std::make_shared<std::string>();
    command.add_option("POLICY", *path, "The policy")->required();
    const auto as_json = std::make_shared<bool>(false);
    command.add_flag("--json", *as_json, "One JSON object a line");
    return [path, as_json] { return run_bench(*path, *as_json); };
}

Run declare_can(CLI::App& command) {
    const auto arguments = std::make_shared<CanArguments>();
    command.add_option("POLICY", arguments->policy, "The policy")->required();
    command.add_option("REQUEST", arguments->words,
                       "A command and what is said of it: NAME=VALUE; path=/etc/** is anything below");
    command.add_flag("--json", arguments->as_json, "One JSON object a line");
    command.footer("Status 0: something of it is possible. 3: nothing is.");
    return [arguments] { return run_can(*arguments); };
}

Run declare_cells(CLI::App& command) {
    const auto path = std::make_shared<std::string>();
    const auto as_json = std::make_shared<bool>(false);
    command.add_option("POLICY", *path, "The policy")->required();
    command.add_flag("--json", *as_json, "One JSON object a line");
    return [path, as_json] { return run_cells(*path, *as_json); };
}

Run declare_check(CLI::App& command) {
    const auto arguments = std::make_shared<CheckArguments>();
    arguments->policy = "standard input";
    auto* policy = command.add_option("POLICY", arguments->policy, "The policy");
    auto* from_stdin = command.add_flag("--stdin", arguments->from_stdin,
                                        "Read it from standard input; POLICY is its name in messages");
    auto* as_json = command.add_flag("--json", arguments->as_json, "One JSON object");
    command.add_flag("--sarif", arguments->as_sarif, "SARIF 2.1.0, for code review")->excludes(as_json);
    command.callback([policy, from_stdin] {
        if (policy->count() + from_stdin->count() == 0) throw CLI::RequiredError("POLICY");
    });
    declare_folders(command, arguments->folders);
    return [arguments] { return run_check(*arguments); };
}

Run declare_compile(CLI::App& command) {
    const auto arguments = std::make_shared<CompileArguments>();
    auto* policy = command.add_option("POLICY", arguments->policy, "The policy");
    command.add_option("-o,--output", arguments->output, "Where to write; else standard output")
        ->needs(policy);
    auto* input_fd = command.add_option("--input-fd", arguments->input_fd, "Open descriptor of the policy");
    auto* name = command.add_option("--name", arguments->name, "The policy's name in messages");
    auto* output_fd = command.add_option("--output-fd", arguments->output_fd, "Open descriptor to write to");
    auto* passwd_fd =
        command.add_option("--passwd-fd", arguments->passwd_fd, "Open descriptor of /etc/passwd");
    auto* group_fd = command.add_option("--group-fd", arguments->group_fd, "Open descriptor of /etc/group");
    auto* zones_fd =
        command.add_option("--zones-fd", arguments->zones_fd, "Open descriptor of /usr/share/zoneinfo");
    auto* fragments_fd = command.add_option("--fragments-fd", arguments->fragments_fd,
                                            "Open descriptor of the files of the policy's folders");
    declare_folders(command, arguments->folders);
    zones_fd->needs(input_fd);
    fragments_fd->needs(input_fd);
    for (auto* option : {input_fd, output_fd, passwd_fd, group_fd, zones_fd, fragments_fd})
        option->check(CLI::NonNegativeNumber);
    for (auto* option : {name, output_fd, passwd_fd, group_fd}) {
        input_fd->needs(option);
        option->needs(input_fd);
    }
    input_fd->excludes(policy);
    command.callback([policy, input_fd] {
        if (policy->count() + input_fd->count() == 0) throw CLI::RequiredError("POLICY");
    });
    return [arguments] { return run_compile(*arguments); };
}

Run declare_diff(CLI::App& command) {
    const auto arguments = std::make_shared<DiffArguments>();
    command.add_option("BEFORE", arguments->before, "The policy to compare with")->required();
    command.add_option("AFTER", arguments->after, "The policy that is compared")->required();
    command.add_flag("--json", arguments->as_json, "One JSON object");
    command.footer(
        "Status 0: a host can do as much by the one as by the other. 3: less, by the second. 4: more, or "
        "otherwise.");
    declare_folders(command, arguments->folders);
    return [arguments] { return run_diff(*arguments); };
}

Run declare_digest(CLI::App& command) {
    const auto arguments = std::make_shared<DigestArguments>();
    command.add_option("POLICY", arguments->policy, "The policy")->required();
    command.add_flag("--files", arguments->has_files,
                     "Instead, the sums of the policy and the files of its folder, as sha256sum prints them: "
                     "what is signed of a policy that has a folder");
    command.add_flag("--json", arguments->as_json, "One JSON object");
    declare_folders(command, arguments->folders);
    return [arguments] { return run_digest(*arguments); };
}

Run declare_effective(CLI::App& command) {
    const auto path = std::make_shared<std::string>();
    const auto as_json = std::make_shared<bool>(false);
    command.add_option("POLICY", *path, "The policy")->required();
    command.add_flag("--json", *as_json, "One JSON object");
    const auto folders = std::make_shared<Folders>();
    declare_folders(command, *folders);
    return [path, folders, as_json] { return run_effective(*path, *folders, *as_json); };
}

Run declare_explain(CLI::App& command) {
    const auto arguments = std::make_shared<ExplainArguments>();
    command.add_option("POLICY", arguments->policy, "The policy")->required();
    auto* words = command.add_option("REQUEST", arguments->words,
                                     "A command and NAME=VALUE, or a host's line: {\"execute\": ...}");
    auto* denial =
        command.add_option("--denial", arguments->denial, "The decision with this id, RUN-SEQ, of --log");
    auto* log = command.add_option("--log", arguments->log, "The audit log");
    denial->needs(log)->excludes(words);
    log->needs(denial);
    command.add_option("--statedir", arguments->state_directory,
                       "Also say what is left of budgets, by the agent's state directory");
    command.add_flag("--json", arguments->as_json, "One JSON object");
    command.callback([words, denial] {
        if (words->count() + denial->count() == 0) throw CLI::RequiredError("REQUEST");
    });
    command.footer("Status 0: it is allowed. 3: it is refused.");
    declare_folders(command, arguments->folders);
    return [arguments] { return run_explain(*arguments); };
}

Run declare_fmt(CLI::App& command) {
    const auto path = std::make_shared<std::string>();
    const auto only_check = std::make_shared<bool>(false);
    command.add_option("POLICY", *path, "The policy")->required();
    command.add_flag("--check", *only_check, "Print nothing; status 3 if it would be laid out otherwise");
    const auto as_json = std::make_shared<bool>(false);
    command.add_flag("--json", *as_json, "One JSON object");
    return [path, only_check, as_json] { return run_fmt(*path, *only_check, *as_json); };
}

Run declare_freeze_plan(CLI::App& command) {
    const auto path = std::make_shared<std::string>();
    const auto mounts = std::make_shared<std::string>(kMounts);
    command.add_option("POLICY", *path, "The policy")->required();
    command.add_option("--mountinfo", *mounts, "A copy of another machine's list of mounts");
    const auto as_json = std::make_shared<bool>(false);
    command.add_flag("--json", *as_json, "One JSON object a line, for each rule that freezes");
    return [path, mounts, as_json] { return run_freeze_plan(*path, *mounts, *as_json); };
}

void declare_log(CLI::App& command, LogArguments& arguments) {
    command.add_option("LOG", arguments.logs, "Files of audit logs, in any order; - is standard input")
        ->required();
    command.add_flag("--json", arguments.as_json, "One JSON object");
    command.add_option_function<std::string>(
        "--since",
        [&arguments](const std::string& text) {
            arguments.since = since_of(text);
            if (arguments.since.empty()) throw CLI::ValidationError("--since", "no time: " + text);
        },
        "Only what is not older: 90d, 12h or 2026-11-30T00:00:00Z");
}

Run declare_learn(CLI::App& command) {
    const auto arguments = std::make_shared<LearnArguments>();
    command.add_option("--policy", arguments->log.policy,
                       "What is learnt allows nothing that this policy refuses; else profile:compat");
    command.add_flag("--refused", arguments->has_refused, "Also learn what was refused then");
    declare_log(command, arguments->log);
    command.footer(
        "Status 0: the rules that are printed were proved. 1: they were not, or a file cannot be used.");
    return [arguments] { return run_learn(*arguments); };
}

Run declare_metrics(CLI::App& command) {
    const auto arguments = std::make_shared<LogArguments>();
    declare_log(command, *arguments);
    return [arguments] { return run_metrics(*arguments); };
}

Run declare_report(CLI::App& command) {
    const auto arguments = std::make_shared<ReportArguments>();
    command.add_option("--policy", arguments->log.policy,
                       "To show which of its rules were never used, and how long freezes may last");
    command.add_option("--html", arguments->html, "Write a page to this file instead");
    declare_log(command, arguments->log);
    command.footer("Status 0: fine. 1: a file cannot be used. 3: a chain does not hold.");
    return [arguments] { return run_report(*arguments); };
}

Run declare_simulate(CLI::App& command) {
    const auto arguments = std::make_shared<LogArguments>();
    command.add_option("POLICY", arguments->policy, "The policy that is asked")->required();
    declare_log(command, *arguments);
    command.footer(
        "Status 0: it answers all as they were answered. 3: some would be refused now. 4: some allowed.");
    return [arguments] { return run_simulate(*arguments); };
}

Run declare_unused(CLI::App& command) {
    const auto arguments = std::make_shared<LogArguments>();
    command.add_option("POLICY", arguments->policy, "The policy")->required();
    declare_log(command, *arguments);
    command.footer("Status 0: all of it was needed. 3: some was not.");
    return [arguments] { return run_unused(*arguments); };
}

Run declare_service(CLI::App& command) {
    const auto arguments = std::make_shared<ServiceArguments>();
    command.add_option("--output-fd", arguments->output_fd, "Open descriptor to write to")->required();
    command.add_option("--config-fd", arguments->config_fd, "Open descriptor of the configuration file");
    command.add_option("--config-name", arguments->config_name, "The file's name in messages");
    command.add_flag("--final", arguments->is_final, "The configuration file is given, or there is none");
    command.add_option("WORDS", arguments->words, "The arguments of sallyportd, after --");
    command.positionals_at_end();
    return [arguments] { return run_service(*arguments); };
}

Run declare_test(CLI::App& command) {
    const auto arguments = std::make_shared<TestArguments>();
    command.add_option("POLICY", arguments->policy, "The policy")->required();
    command.add_option("CASES", arguments->cases, "The cases, in TOML")->required();
    command.add_option("--min", arguments->least, "Percent of the policy that must be tried")
        ->check(CLI::Range(0, 100));
    command.add_flag("--mutate", arguments->mutate,
                     "Take away each thing that a rule says, and see whether a case notices");
    command.add_flag("--json", arguments->as_json, "One JSON object");
    command.footer(
        "Status 0: all cases hold. 3: some do not. 4: too little is tried, or a change goes unnoticed.");
    declare_folders(command, arguments->folders);
    return [arguments] { return run_test(*arguments); };
}

Run declare_unit(CLI::App& command) {
    const auto path = std::make_shared<std::string>();
    command.add_option("POLICY", *path, "The policy")->required();
    command.footer(
        "Link these into /etc/systemd/system/sallyport.service.d, then `systemctl daemon-reload`.");
    const auto folders = std::make_shared<Folders>();
    declare_folders(command, *folders);
    const auto as_json = std::make_shared<bool>(false);
    command.add_flag("--json", *as_json, "One JSON object");
    return [path, folders, as_json] { return run_unit(*path, *folders, *as_json); };
}

Run declare_verify_log(CLI::App& command) {
    const auto files = std::make_shared<std::vector<std::string>>();
    const auto as_json = std::make_shared<bool>(false);
    command.add_option("FILE", *files, "Files of the log, in any order")->required();
    command.add_flag("--json", *as_json, "One JSON object");
    command.footer(
        "Status 0: the chain holds. 1: it does not; the first bad line is named. 2: a file cannot be used.");
    return [files, as_json] { return run_verify_log(*files, *as_json); };
}

struct Verb {
    const char* name;
    Declare declare;
    const char* summary;
};

// clang-format off
constexpr std::array kVerbs{
    //   name       declared by      summary
    Verb{"apply",   declare_apply,   "Put a policy into force, and the old one back if the agent does not serve by it"},
    Verb{"bench",   declare_bench,   "Measure how long a policy's decisions take here"},
    Verb{"can",     declare_can,     "Show what a host can do, of requests of which some is left open"},
    Verb{"cells",   declare_cells,   "Print one request for each cell of a policy: a complete file of cases"},
    Verb{"check",   declare_check,   "Say what is wrong with a policy, or what it allows"},
    Verb{"compile", declare_compile, "Turn a policy into the form that the agent reads"},
    Verb{"completion", declare_completion, "Print what makes a shell complete the words of this tool"},
    Verb{"diff",    declare_diff,    "Show what a host can do by one policy and not by another"},
    Verb{"digest",  declare_digest,  "Print the digest by which the audit log knows a policy"},
    Verb{"effective", declare_effective, "Print the whole policy as one text, with what it includes"},
    Verb{"explain", declare_explain, "Say why a request is answered as it is, and what would have to change"},
    Verb{"fmt",     declare_fmt,     "Print a policy as policies are laid out; comments stay"},
    Verb{"freeze-plan", declare_freeze_plan, "Show what a policy would freeze here, in which order, and what not"},
    Verb{"import",  declare_import,  "Turn a qemu-ga's configuration into a policy, and say what is not safe in it"},
    Verb{"learn",   declare_learn,   "Propose the smallest rules that allow what a log has, proved"},
    Verb{"manual",  declare_manual,  "Print the manual page of a verb, or of all of them together"},
    Verb{"metrics", declare_metrics, "Print what a log says on the whole, for Prometheus"},
    Verb{"privileges", declare_privileges, "Print what each process of the agent may do, from the tables that are installed"},
    Verb{"report",  declare_report,  "Show what a log says on the whole, in words or as a page"},
    Verb{"schema",  declare_schema,  "Print a JSON Schema of the policy language, for editors"},
    Verb{"service", declare_service, "Read the command line of sallyportd, for it"},
    Verb{"simulate", declare_simulate, "Ask the decisions of a log again of another policy"},
    Verb{"status",  declare_status,  "Say how the agent of this machine is: its policy, refusals, whether it is frozen"},
    Verb{"test",    declare_test,    "Say whether a policy answers as a file of cases expects, and what these do not try"},
    Verb{"unit",    declare_unit,    "Print which drop-ins of the systemd unit a policy needs"},
    Verb{"unused",  declare_unused,  "Show what of a policy no request of a log has needed"},
    Verb{"verify-log", declare_verify_log, "Say whether an audit log is as it was written"},
};
// clang-format on

// CLI11 would print an unknown word unescaped.
int say(const CLI::App& app, const CLI::ParseError& error) {
    std::ostringstream text;
    std::ostringstream fault;
    const bool is_asked_for = app.exit(error, text, fault) == 0;
    print(text.str());
    if (!fault.str().empty())
        complain("sallyport-policy: " + compile::printable(error.what()) + "; --help shows what there is\n");
    return is_asked_for ? kSuccess : kUsage;
}

int run(int argc, char** argv) {
    CLI::App app("Checks and compiles the policy of the Sallyport guest agent.", "sallyport-policy");
    app.require_subcommand(1);
    app.set_version_flag("--version", SALLYPORT_VERSION);
    std::vector<std::pair<const CLI::App*, Run>> commands;
    for (const Verb& verb : kVerbs) {
        CLI::App* command = app.add_subcommand(verb.name, verb.summary);
        commands.emplace_back(command, verb.declare(*command));
    }
    try {
        app.parse(argc, argv);
    } catch (const CLI::ParseError& error) {
        return say(app, error);
    }
    for (const auto& [command, run_command] : commands)
        if (command->parsed()) return run_command();
    return kUsage;
}

}  // namespace

int main(int argc, char** argv) {
    sallyport::ipc::silence_protobuf();
    return run(argc, argv);
}
