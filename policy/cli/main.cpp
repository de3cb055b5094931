// sallyport-policy: checks and compiles policies. Works unprivileged, on copies, without a running agent.
// Runs in:  the admin's shell; a throw-away process of the broker's start
#include <array>
#include <utility>
#include <vector>

#include "ipc/codec.hpp"
#include "policy/cli/verb.hpp"

namespace {

using namespace sallyport::policy::cli;

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
};
// clang-format on

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
        return app.exit(error) == 0 ? kSuccess : kUsage;
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
