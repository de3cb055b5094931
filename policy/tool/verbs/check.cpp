// check: the errors of a policy; if there are none, what it allows and what looks unintended.
#include <fcntl.h>
#include <sys/stat.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <ctime>
#include <filesystem>
#include <string>

#include "policy/decide.hpp"
#include "policy/drop_ins.hpp"
#include "policy/tool/analyse/dead.hpp"
#include "policy/tool/analyse/feature.hpp"
#include "policy/tool/compile/budget_text.hpp"
#include "policy/tool/compile/problems.hpp"
#include "policy/tool/verbs/confined.hpp"
#include "policy/tool/verbs/files.hpp"
#include "policy/tool/verbs/policies.hpp"
#include "policy/tool/verbs/verb.hpp"

namespace sallyport::policy::cli {

namespace {

std::string names_of(CommandSet commands) {
    std::string names;
    for (const Command& row : kCommands)
        if (commands.has(row.id)) names.append(" ").append(row.name);
    return names.empty() ? " none" : names;
}

std::string words_of(Access access) {
    std::string words;
    if (access.read) words += " read";
    if (access.write) words += " write";
    if (access.create) words += " create";
    return words.empty() ? " any access" : words;
}

std::string words_of(std::bitset<4> modes) {
    std::string words;
    if (modes.test(static_cast<std::size_t>(Mode::kHalt))) words += " halt";
    if (modes.test(static_cast<std::size_t>(Mode::kPowerdown))) words += " powerdown";
    if (modes.test(static_cast<std::size_t>(Mode::kReboot))) words += " reboot";
    return words;
}

std::string_view name_of(Method method) {
    constexpr std::array<std::string_view, 5> kNames{"any", "systemd", "init", "pm-utils", "kernel"};
    return kNames[static_cast<std::size_t>(method)];
}

std::string words_of(const ipc::FreezeSelection& selection) {
    std::string text;
    for (const std::string& point : selection.mounts()) text += " " + compile::printable(point);
    if (text.empty()) text = " what it selects of all file systems; freeze-plan shows that";
    return text + " (thawed after " + std::to_string(selection.max_frozen_ms()) + " ms at the latest)";
}

std::string summary_of(const ipc::ExecWord& word) {
    switch (word.kind_case()) {
        case ipc::ExecWord::kText:
            return compile::quoted(word.text());
        case ipc::ExecWord::kOneOf:
            return "one of " + std::to_string(word.one_of().text_size());
        case ipc::ExecWord::kNumber:
            return std::to_string(word.number().least()) + ".." + std::to_string(word.number().most());
        case ipc::ExecWord::kUnder:
            return "under " + compile::quoted(word.under());
        default:
            return "name of " + std::to_string(word.name());
    }
}

std::string summary_of(const ipc::ExecTemplate& one) {
    std::string text = "        starts: ";
    text += one.program().empty() ? "any program" : compile::printable(one.program());
    if (one.any_args()) text += " any words";
    for (const ipc::ExecWord& word : one.args()) text += " " + summary_of(word);
    return text + " (as user " + std::to_string(one.uid()) + ")\n";
}

std::string summary_of(const ipc::AccountTemplate& accounts, CommandSet commands) {
    std::string text = "        users:";
    for (const ipc::Account& one : accounts.accounts()) text += " " + compile::printable(one.name());
    text += accounts.any_user() ? " any but root\n" : "\n";
    if (commands.has(CommandId::kSetUserPassword))
        text += std::string("        passwords: ") +
                (accounts.crypted_only() ? "as hashes only\n" : "plain or as hashes\n");
    if (!commands.has(CommandId::kSshAddAuthorizedKeys)) return text;
    text += "        keys: at most " + std::to_string(accounts.max_keys());
    if (accounts.any_key()) text += ", of any type";
    for (const std::string& type : accounts.key_types()) text += " " + compile::printable(type);
    if (!accounts.options().empty()) text += ", each with " + compile::printable(accounts.options());
    return text + (accounts.reset() ? ", or in place of all others\n" : "\n");
}

std::string numbers_of(const ipc::SetRule::Spans& spans) {
    std::string text;
    for (const auto& one : spans.span()) {
        text += " " + std::to_string(one.least());
        if (one.most() != one.least()) text += "-" + std::to_string(one.most());
    }
    return text.empty() ? " any" : text;
}

std::string summary_of(const ipc::SetRule& one) {
    if (one.has_vcpus())
        return "        sets processors:" + numbers_of(one.vcpus().cpus()) + " (at least " +
               std::to_string(one.vcpus().min_online()) + " stay online)\n";
    if (one.has_blocks()) return "        sets memory blocks:" + numbers_of(one.blocks()) + "\n";
    const std::string most =
        one.time().any() ? "any step" : "at most " + std::to_string(one.time().max_ms()) + " ms";
    return "        sets the clock: " + most + "\n";
}

std::string summary_of(const Rule& rule) {
    std::string text = std::string(rule.effect == Effect::kAllow ? "  allow " : "  deny  ") + rule.id + " (" +
                       rule.where + ")\n";
    text += "        commands:" + names_of(rule.commands) + "\n";
    if (rule.when) text += "        when: " + compile::printable(rule.when->text()) + "\n";
    if (const std::string budget = compile::budget_text(rule.budget); !budget.empty())
        text += "        budget: " + budget + "\n";
    for (const FileRule& file : rule.files)
        text += "        files: " + compile::printable(file.under) + ":" + words_of(file.access) + "\n";
    if (rule.freeze) text += "        freezes:" + words_of(*rule.freeze) + "\n";
    if (rule.modes.any()) text += "        modes:" + words_of(rule.modes) + "\n";
    if (rule.method != Method::kAny) text += "        method: " + std::string(name_of(rule.method)) + "\n";
    for (const ipc::ExecTemplate& one : rule.exec) text += summary_of(one);
    if (rule.accounts) text += summary_of(*rule.accounts, rule.commands);
    for (const ipc::SetRule& one : rule.sets) text += summary_of(one);
    if (rule.reply) {
        for (const std::string& name : rule.reply->interfaces())
            text += "        shows interface: " + compile::printable(name) + "\n";
        for (const std::string& name : rule.reply->mounts())
            text += "        shows mount: " + compile::printable(name) + "\n";
        for (const std::string& name : rule.reply->users())
            text += "        shows user: " + compile::printable(name) + "\n";
    }
    return text;
}

std::string summary_of(const Policy& policy, WallTime now) {
    const CommandSet enabled = enabled_commands(policy, now);
    CommandSet refused = policy.narrowed_to;
    refused -= enabled;
    std::string text = "digest: sha256 " + hexadecimal(policy.digest) + "\n";
    text += "rules: " + std::to_string(policy.rules.size()) + "\n";
    for (const Rule& rule : policy.rules) text += summary_of(rule);
    if (!policy.dry_runs.empty())
        text += "dry runs, which decide nothing: " + std::to_string(policy.dry_runs.size()) + "\n";
    for (const Rule& rule : policy.dry_runs)
        text += summary_of(rule) + "        dry run: until " + analyse::show_time(*rule.expires) + "\n";
    text += "enabled:" + names_of(enabled) + "\n";
    text += "refused:" + names_of(refused) + "\n";
    text += "drop-ins of the unit:";
    const std::vector<DropIn> drop_ins = drop_ins_of(policy);
    for (const DropIn& one : drop_ins) text += " " + std::filesystem::path(one.path).filename().string();
    return text + (drop_ins.empty() ? " none\n" : "\n");
}

std::string warning(const Rule& rule, const std::string& text) {
    return rule.where + ": warning: rule '" + rule.id + "': " + text + "\n";
}

std::string warn_of_directory(const Rule& rule, const FileRule& file) {
    struct stat status{};
    const std::string shown = "directory '" + compile::printable(file.under) + "' ";
    if (::stat(file.under.c_str(), &status) != 0)
        return warning(rule, shown + "cannot be looked at: " + std::strerror(errno));
    if (!S_ISDIR(status.st_mode)) return warning(rule, shown + "is no directory");
    return "";
}

// A directory of a larger file system is a frequent mistake: nothing is frozen for it.
std::string warn_of_mount(const Rule& rule, const std::string& point) {
    struct statx status{};
    const bool is_there =
        ::statx(AT_FDCWD, point.c_str(), AT_SYMLINK_NOFOLLOW | AT_NO_AUTOMOUNT, 0, &status) == 0;
    if (is_there && (status.stx_attributes & STATX_ATTR_MOUNT_ROOT) != 0) return "";
    return warning(rule, "'" + compile::printable(point) +
                             "' in 'mounts' is no mount point now, and nothing is frozen for it; "
                             "freeze-plan shows what would be");
}

// The agent follows no link on the way to a directory, whoever owns it.
std::string error_of_link(const Rule& rule, const FileRule& file) {
    for (std::size_t end = 0; end != file.under.npos;) {
        end = file.under.find('/', end + 1);
        const std::string directory = file.under.substr(0, end);
        std::error_code ignored;
        if (!std::filesystem::is_symlink(directory, ignored)) continue;
        const auto real = std::filesystem::weakly_canonical(file.under, ignored).string();
        return rule.where + ": error: rule '" + rule.id + "': '" + compile::printable(directory) +
               "' is a symbolic link on the way to 'under'" +
               (real.empty() ? "" : "; did you mean '" + compile::printable(real) + "'?") + "\n";
    }
    return "";
}

std::string errors_of(const Policy& policy) {
    std::string text;
    for (const Rule& rule : policy.rules)
        if (rule.effect == Effect::kAllow)
            for (const FileRule& file : rule.files) text += error_of_link(rule, file);
    return text;
}

std::string warn_of_following(const Policy& policy, const Rule& rule) {
    const auto follows = [](const FileRule& file) { return file.follow_symlinks; };
    const auto denies = [](const Rule& other) {
        return other.effect == Effect::kDeny && !other.files.empty();
    };
    if (!std::ranges::any_of(rule.files, follows) || !std::ranges::any_of(policy.rules, denies)) return "";
    return warning(
        rule,
        "follows symbolic links, and there are deny rules for files: whoever can make a link below it "
        "leads the host to every file that the policy allows and no deny rule names");
}

// What makes a host that may start programs as good as root, or as the user.
std::string warn_of_exec(const Rule& rule, const ipc::ExecTemplate& one) {
    const std::string user = one.uid() == 0 ? "root" : "user " + std::to_string(one.uid());
    if (one.program().empty())
        return warning(rule, "the host can start any program: it is " + user + " in this guest");
    std::string text;
    const std::string shown = "'" + compile::printable(one.program()) + "' ";
    if (one.any_args())
        text += warning(rule, shown + "takes any words: what it can do with them, the host can, as " + user);
    if (one.any_env())
        text +=
            warning(rule, shown + "takes any environment: by LD_PRELOAD and the like the host is " + user);
    if (one.confine().tasks() != 0 && one.uid() == 0)
        text +=
            warning(rule, shown +
                              "is started only where the service manager leaves the agent a control group "
                              "(Delegate=memory pids): nothing else counts the tasks of root");
    struct stat status{};
    if (::stat(one.program().c_str(), &status) != 0)
        text += warning(rule, "program " + shown + "cannot be looked at: " + std::strerror(errno));
    return text;
}

// Who can log in as root is root.
std::string warn_of_accounts(const Rule& rule, const ipc::AccountTemplate& accounts) {
    std::string text;
    const bool enters =
        rule.commands.has(CommandId::kSetUserPassword) || rule.commands.has(CommandId::kSshAddAuthorizedKeys);
    if (enters && accounts.any_user())
        text +=
            warning(rule, "the host can let itself in as any user but root, also as one who may become root");
    for (const ipc::Account& one : accounts.accounts())
        if (enters && one.uid() == 0)
            text += warning(rule, "the host can let itself in as '" + compile::printable(one.name()) +
                                      "': it is root in this guest");
    if (rule.commands.has(CommandId::kSshAddAuthorizedKeys) && accounts.reset())
        text += warning(rule, "'reset' lets the host take all other keys of these users away");
    return text;
}

// Of a host that sets the clock, what it gains by that: a deny rule ends early, and so does a rule that lets somebody look.
std::string warn_of_clock(const Policy& policy, const Rule& rule, const ipc::SetRule& one) {
    if (!one.has_time() || !times_of(policy, rule, CommandId::kSetTime)) return "";
    std::string text;
    if (one.time().any())
        text += warning(rule,
                        "the host can set the clock to any time: certificates that have expired are valid "
                        "again, and those that have not are not");
    for (const Rule& other : policy.rules)
        if (other.expires && other.effect == Effect::kDeny)
            text +=
                warning(rule, "lets the host set the clock, forwards step by step, and so end deny rule '" +
                                  other.id + "' (" + other.where + "), which expires");
    return text;
}

std::string names_of(const Policy& policy, const std::vector<std::size_t>& rules) {
    std::string names;
    for (std::size_t at = 0; at < rules.size(); ++at) {
        if (at == 3) return names + " and others";
        names += (at == 0 ? "" : ", ") + rule_name(policy.rules[rules[at]]);
    }
    return names;
}

// Exact: every cell of the policy is looked at.
std::string warn_of_dead(const Policy& policy, WallTime now) {
    std::string text;
    for (const analyse::DeadPart& dead : analyse::dead_parts(policy, now)) {
        const Rule& rule = policy.rules[dead.part.rule];
        std::string what;
        if (dead.part.subject == analyse::Subject::kFiles && rule.files.size() > 1)
            what = "its files under '" + compile::printable(rule.files[dead.part.entry].under) + "' ";
        if (dead.part.subject == analyse::Subject::kExec && rule.exec.size() > 1)
            what = "its program '" + compile::printable(rule.exec[dead.part.entry].program()) + "' ";
        what += "can never decide: ";
        const std::string by = names_of(policy, dead.by);
        switch (dead.why) {
            case analyse::Dead::kDenied:
                text += warning(rule, what + "all that it allows is denied by " + by);
                break;
            case analyse::Dead::kAllowed:
                text += warning(rule, what + "all that it allows is allowed, or denied, by " + by);
                break;
            case analyse::Dead::kDeniedToo:
                text += warning(rule, what + "all that it denies is denied by " + by);
                break;
        }
    }
    return text;
}

std::string warnings_of(const Policy& policy, WallTime now) {
    std::string text = warn_of_dead(policy, now);
    for (const Rule& rule : policy.dry_runs)
        if (*rule.expires <= now) text += warning(rule, "its dry run is over, and it has no effect");
    for (const Rule& rule : policy.rules) {
        if (rule.expires && *rule.expires <= now) text += warning(rule, "has expired and has no effect");
        if (rule.expires && rule.effect == Effect::kDeny)
            text += warning(rule, "ends when the clock says so, and the host can set the clock forward");
        if (rule.when && rule.effect == Effect::kDeny)
            text +=
                warning(rule, "denies in its hours only, and the host can set the clock forward past them");
        if (rule.effect == Effect::kDeny) continue;
        text += warn_of_following(policy, rule);
        for (const FileRule& file : rule.files) text += warn_of_directory(rule, file);
        for (const ipc::ExecTemplate& one : rule.exec) text += warn_of_exec(rule, one);
        if (rule.accounts) text += warn_of_accounts(rule, *rule.accounts);
        for (const ipc::SetRule& one : rule.sets) text += warn_of_clock(policy, rule, one);
        if (!rule.freeze) continue;
        for (const std::string& point : rule.freeze->mounts()) text += warn_of_mount(rule, point);
    }
    return text;
}

}  // namespace

int run_check(const CheckArguments& arguments) {
    if (arguments.as_json || arguments.as_sarif) return report_check(arguments);
    auto input = open_input(arguments.from_stdin ? "/dev/stdin" : arguments.policy, arguments.folders);
    if (!input) return kFailure;
    const std::string& path = input->name = arguments.policy;
    const auto compiled = compile_apart(*input);
    if (!compiled) return kFailure;
    const auto policy = load(*compiled);
    if (!policy) {
        complain(describe(path, policy.error()));
        return kFailure;
    }
    if (const std::string errors = errors_of(*policy); !errors.empty()) {
        complain(errors);
        return kFailure;
    }
    const WallTime now = std::time(nullptr);
    print(compile::printable(path) + ": no errors\n" + summary_of(*policy, now));
    complain(warn_of_owners(input->fragments) + warnings_of(*policy, now));
    return kSuccess;
}

}  // namespace sallyport::policy::cli
