// sallyport-policy: checks and compiles policies. Works unprivileged, on copies, without a running agent.
// Runs in:  the admin's shell; a throw-away process of the broker's start
#include <array>
#include <sstream>
#include <utility>
#include <vector>

#include "ipc/codec.hpp"
#include "policy/cli/files.hpp"
#include "policy/cli/verb.hpp"
#include "policy/compile/problems.hpp"

namespace {

using namespace sallyport::policy::cli;
namespace compile = sallyport::policy::compile;

struct Verb {
    const char* name;
    Declare declare;
    const char* summary;
};

// clang-format off
constexpr std::array kVerbs{
    //   name       declared by      summary
    Verb{"check",   declare_check,   "Say what is wrong with a policy, or what it allows"},
    Verb{"compile", declare_compile, "Turn a policy into the form that the agent reads"},
    Verb{"freeze-plan", declare_freeze_plan, "Show what a policy would freeze here, in which order, and what not"},
    Verb{"service", declare_service, "Read the command line of sallyportd, for it"},
    Verb{"verify-log", declare_verify_log, "Say whether an audit log is as it was written"},
};
// clang-format on

// CLI11 repeats an unknown word as it is.
int say(const CLI::App& app, const CLI::ParseError& error) {
    std::ostringstream text;
    std::ostringstream fault;
    const bool is_asked_for = app.exit(error, text, fault) == 0;
    print(text.str());
    if (!fault.str().empty()) complain("sallyport-policy: " + compile::printable(fault.str()) + "\n");
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
