// privileges: what each process of the agent may do once it has locked itself down, from the tables that are installed; and what the
// kernel here cannot refuse.
#include <cap-ng.h>
#include <seccomp.h>

#include <array>
#include <cstdlib>
#include <memory>
#include <string>

#include "policy/tool/verbs/files.hpp"
#include "policy/tool/verbs/json.hpp"
#include "policy/tool/verbs/verb.hpp"
#include "sandbox/landlock.hpp"
#include "sandbox/lockdown.hpp"
#include "sandbox/syscalls.hpp"

namespace sallyport::policy::cli {

namespace {

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

std::string in_words(const Row& row) {
    std::string text = std::string(row.name) + "\n";
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

std::string in_json(const Row& row) {
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

}  // namespace

int run_privileges(bool as_json) {
    for (const Row& row : kRows) print(as_json ? in_json(row) + "\n" : in_words(row));
    const int landlock = sandbox::landlock::version().value_or(0);
    print(as_json ? kernel_in_json(landlock) + "\n" : kernel_in_words(landlock));
    return kSuccess;
}

}  // namespace sallyport::policy::cli
