// privileges: what each process of the agent may do once it has locked itself down, and where, from the tables that are installed; and what
// the kernel here cannot refuse.
#include <cap-ng.h>
#include <seccomp.h>

#include <algorithm>
#include <array>
#include <cstdlib>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "inspector/needs.hpp"
#include "policy/exec.hpp"
#include "policy/tool/compile/problems.hpp"
#include "policy/tool/verbs/files.hpp"
#include "policy/tool/verbs/json.hpp"
#include "policy/tool/verbs/policies.hpp"
#include "policy/tool/verbs/verb.hpp"
#include "sandbox/landlock.hpp"
#include "sandbox/lockdown.hpp"
#include "sandbox/places.hpp"
#include "sandbox/syscalls.hpp"

namespace sallyport::policy::cli {

namespace {

using FilesTree = sandbox::FilesNeeds::Tree;
using sandbox::KeptCapability;
using sandbox::Process;
using sandbox::When;

std::vector<KeptCapability> no_capability() {
    return {};
}

std::vector<KeptCapability> of_files() {
    return sandbox::files_capabilities({.reads_files = true,
                                        .writes_files = true,
                                        .creates_files = true,
                                        .others_files = true,
                                        .others_directories = true,
                                        .trees = {}});
}

std::vector<KeptCapability> of_guard() {
    const auto kept = sandbox::guard_capabilities();
    return {kept.begin(), kept.end()};
}

std::vector<KeptCapability> of_setter() {
    const auto kept = sandbox::setter_capabilities();
    return {kept.begin(), kept.end()};
}

struct Row {
    std::string_view name;
    Process process;
    std::vector<KeptCapability> (*capabilities)();  // at the most
};

// The launcher has no filter, since what it starts would have it, too.
constexpr std::array kRows{
    Row{"broker", Process::kBroker, no_capability},
    Row{"nursery", Process::kNursery, no_capability},
    Row{"worker", Process::kWorker, no_capability},
    Row{"compiler", Process::kCompiler, no_capability},
    Row{"guard", Process::kGuard, of_guard},
    Row{"inspector", Process::kInspector, no_capability},
    Row{"recorder", Process::kRecorder, no_capability},
    Row{"files", Process::kFiles, of_files},
    Row{"setter", Process::kSetter, of_setter},
};

std::string_view words_of(When when) {
    switch (when) {
        case When::kAlways:
            return "always";
        case When::kListens:
            return "if it listens on a socket";
        case When::kAsksFiles:
            return "if a rule lets files be opened";
        case When::kFreezes:
            return "if a rule lets something be frozen";
        case When::kWritesFiles:
            return "if a rule lets files be written";
        case When::kCreatesFiles:
            return "if a rule lets files be created";
        case When::kNetlink:
            return "if a rule shows interfaces";
        case When::kForks:
            return "the parent itself only";
        case When::kSetsClock:
            return "if it sets the clock";
        case When::kSetsDevices:
            return "if it sets processors or memory";
    }
    check_failed();
}

std::string name_of(int call) {
    const std::unique_ptr<char, decltype(&std::free)> name(
        ::seccomp_syscall_resolve_num_arch(SCMP_ARCH_NATIVE, call), &std::free);
    return name ? name.get() : std::to_string(call);
}

/// Where a process may open something by its name, and why.
struct Opened {
    std::string where;
    std::uint64_t rights = 0;
    std::string reason = {};
    bool operator==(const Opened&) const = default;
};

struct Right {
    std::uint64_t bit;
    const char* words;
};
constexpr std::array kRights{
    Right{LANDLOCK_ACCESS_FS_READ_FILE, "read files"},
    Right{LANDLOCK_ACCESS_FS_WRITE_FILE, "write files"},
    Right{LANDLOCK_ACCESS_FS_READ_DIR, "open directories"},
    Right{LANDLOCK_ACCESS_FS_MAKE_REG, "make files"},
    Right{LANDLOCK_ACCESS_FS_REMOVE_FILE, "remove files"},
    Right{LANDLOCK_ACCESS_FS_EXECUTE, "execute files"},
};

std::vector<std::string> words_of(std::uint64_t rights) {
    std::vector<std::string> words;
    for (const Right& one : kRights)
        if ((rights & one.bit) != 0) words.emplace_back(one.words);
    return words;
}

// As broker/files/needs.hpp has it of a directory that is there when the agent starts.
std::vector<Opened> opened_by_files(const Policy& policy) {
    std::vector<Opened> all;
    for (const Rule& rule : policy.rules) {
        if (rule.effect == Effect::kDeny) continue;
        for (const FileRule& file : rule.files) {
            const auto tree = sandbox::system_directory(file.under);
            all.push_back({.where = tree.value_or("/"),
                           .rights = sandbox::rights_of(FilesTree{.path = {},
                                                                  .read = file.access.read,
                                                                  .write = file.access.write,
                                                                  .create = file.access.create,
                                                                  .list = file.kinds.directory}),
                           .reason = "rule " + rule_name(rule) + ", " + compile::quoted(file.under)});
        }
    }
    return all;
}

std::vector<Opened> opened_by_inspector(CommandSet commands) {
    std::vector<Opened> all;
    const auto needs = inspector::needs_of(commands);
    // Several commands need some of them.
    for (const auto& tree : needs.trees) {
        Opened one{.where = tree.path, .rights = sandbox::rights_of(tree)};
        if (std::ranges::find(all, one) == all.end()) all.push_back(std::move(one));
    }
    if (needs.follows_links)
        all.push_back({.where = sandbox::kLinked.where,
                       .rights = sandbox::kLinked.rights,
                       .reason = "a new child, where links lead to; not once it is asked"});
    return all;
}

CommandSet every_command() {
    CommandSet all;
    for (const Command& row : kCommands) all.add(row.id);
    return all;
}

/// Without a policy: at the most.
std::vector<Opened> opened_by(Process process, const Policy* policy) {
    if (process == Process::kInspector)
        return opened_by_inspector(policy == nullptr ? every_command() : reach_of(*policy).commands);
    if (process == Process::kFiles && policy != nullptr) return opened_by_files(*policy);
    if (process == Process::kFiles) {
        const FilesTree most{.path = {}, .read = true, .write = true, .create = true, .list = true};
        return {{.where = "what the policy's rules name", .rights = sandbox::rights_of(most)}};
    }
    std::vector<Opened> all;
    for (const sandbox::Place& place : sandbox::places_of(process))
        all.push_back({.where = place.where, .rights = place.rights});
    return all;
}

std::string_view root_of(Process process) {
    return sandbox::has_empty_root(process) ? "empty and read-only" : "the machine's";
}

std::string places_in_words(const Row& row, const Policy* policy) {
    std::string text = "  root: " + std::string(root_of(row.process)) + "\n";
    const auto all = opened_by(row.process, policy);
    if (all.empty()) text += "  opens nothing by its name\n";
    for (const Opened& one : all) {
        text += "  beneath " + one.where + ":";
        for (const std::string& word : words_of(one.rights)) text += (text.back() == ':' ? " " : ", ") + word;
        text += (one.reason.empty() ? "" : " (" + one.reason + ")") + "\n";
    }
    return text;
}

std::string places_in_json(const Row& row, const Policy* policy) {
    std::vector<std::string> all;
    for (const Opened& one : opened_by(row.process, policy))
        all.push_back(JsonObject()
                          .add("where", one.where)
                          .add_value("rights", json_strings(words_of(one.rights)))
                          .add("reason", one.reason)
                          .text());
    return json_list(all);
}

std::string in_words(const Row& row, const Policy* policy) {
    std::string text = std::string(row.name) + "\n" + places_in_words(row, policy);
    const auto kept = row.capabilities();
    if (kept.empty()) text += "  no capability\n";
    for (const KeptCapability& one : kept)
        text += "  capability " +
                std::string(::capng_capability_to_name(static_cast<unsigned>(one.capability))) + ": " +
                one.reason + "\n";
    for (const sandbox::SyscallRule& rule : sandbox::syscall_table(row.process)) {
        text += "  call " + name_of(rule.call) + ": " + rule.reason;
        if (rule.first.mask != 0 || rule.second.mask != 0) text += " (some arguments only)";
        if (rule.when != When::kAlways) text += "; " + std::string(words_of(rule.when));
        text += "\n";
    }
    return text;
}

std::string in_json(const Row& row, const Policy* policy) {
    std::vector<std::string> capabilities;
    for (const KeptCapability& one : row.capabilities())
        capabilities.push_back(
            JsonObject()
                .add("name", ::capng_capability_to_name(static_cast<unsigned>(one.capability)))
                .add("reason", one.reason)
                .text());
    std::vector<std::string> calls;
    for (const sandbox::SyscallRule& rule : sandbox::syscall_table(row.process))
        calls.push_back(JsonObject()
                            .add("name", name_of(rule.call))
                            .add("reason", rule.reason)
                            .add("when", words_of(rule.when))
                            .add("any_arguments", rule.first.mask == 0 && rule.second.mask == 0)
                            .text());
    return JsonObject()
        .add("process", row.name)
        .add("root", root_of(row.process))
        .add_value("places", places_in_json(row, policy))
        .add_value("capabilities", json_list(capabilities))
        .add_value("calls", json_list(calls))
        .text();
}

// Of the kernel that this runs on, which may be another than the agent's.
std::string kernel_in_words(int landlock) {
    if (landlock == 0) return "this kernel\n  no Landlock: the agent does not serve here\n";
    std::string text = "this kernel\n  Landlock " + std::to_string(landlock) + "\n";
    for (const sandbox::landlock::Lack& one : sandbox::landlock::lacking(landlock))
        text += "  until Linux " + std::string(one.kernel) + ": " + one.text + "\n";
    return text;
}

std::string kernel_in_json(int landlock) {
    std::vector<std::string> lacks;
    for (const sandbox::landlock::Lack& one : sandbox::landlock::lacking(landlock))
        lacks.push_back(JsonObject().add("until", one.kernel).add("what", one.text).text());
    return JsonObject()
        .add("landlock", static_cast<std::uint64_t>(landlock))
        .add_value("lacks", json_list(lacks))
        .text();
}

// What the programs of the policy may write; they read what their user may.
std::string programs_in_words(const Policy& policy) {
    std::string text;
    for (const ipc::ExecTemplate& one : exec_templates(policy)) {
        text += "program " + (one.program().empty() ? "of any name" : compile::quoted(one.program())) +
                " of rule " + compile::quoted(one.rule()) + "\n  root: the machine's\n";
        if (one.confine().write().empty()) text += "  writes what its user may\n";
        for (const std::string& path : one.confine().write())
            text += "  writes beneath " + compile::printable(path) + "\n";
    }
    return text;
}

std::string programs_in_json(const Policy& policy) {
    std::string text;
    for (const ipc::ExecTemplate& one : exec_templates(policy)) {
        const auto& write = one.confine().write();
        text += JsonObject()
                    .add("program", one.program())
                    .add("rule", one.rule())
                    .add_value("writes_beneath", json_strings({write.begin(), write.end()}))
                    .text() +
                "\n";
    }
    return text;
}

}  // namespace

int run_privileges(const PrivilegesArguments& arguments) {
    const int landlock = sandbox::landlock::version().value_or(0);
    std::optional<Files> files;
    const Policy* policy = nullptr;
    if (!arguments.policy.empty()) {
        files = read_confined({arguments.policy}, {}, arguments.folders);
        if (!files) return kFailure;
        policy = &files->policies.front().policy;
    }
    for (const Row& row : kRows)
        print(arguments.as_json ? in_json(row, policy) + "\n" : in_words(row, policy));
    if (policy != nullptr) print(arguments.as_json ? programs_in_json(*policy) : programs_in_words(*policy));
    print(arguments.as_json ? kernel_in_json(landlock) + "\n" : kernel_in_words(landlock));
    return kSuccess;
}

}  // namespace sallyport::policy::cli
