// compile: a policy to the form that the agent reads. The broker uses it by descriptors, people by file
// names.
#include <unistd.h>

#include <memory>
#include <string>

#include "policy/cli/confined.hpp"
#include "policy/cli/files.hpp"
#include "policy/cli/verb.hpp"

namespace sallyport::policy::cli {

namespace {

struct Arguments {
    std::string policy;
    std::string output;
    std::string name;
    int input_fd = -1;
    int output_fd = -1;
    int passwd_fd = -1;
};

/// A file is made only once there is something to write into it.
int compile_path(const Arguments& arguments) {
    const auto input = open_input(arguments.policy);
    if (!input) return kFailure;
    const auto compiled = compile_apart(*input);
    if (!compiled) return kFailure;
    if (arguments.output.empty()) {
        print(*compiled);
        return kSuccess;
    }
    const auto output = open_to_write(arguments.output);
    const Status written = output ? write_all(*output, *compiled) : std::unexpected(output.error());
    if (written) return kSuccess;
    complain(describe(arguments.output, written.error()));
    return kFailure;
}

int run(const Arguments& arguments) {
    if (arguments.input_fd < 0) return compile_path(arguments);
    const CompilerInput input{.policy = UniqueFd(arguments.input_fd),
                              .passwd = UniqueFd(arguments.passwd_fd),
                              .name = arguments.name};
    return compile_here(input, UniqueFd(arguments.output_fd));
}

}  // namespace

Run declare_compile(CLI::App& command) {
    const auto arguments = std::make_shared<Arguments>();
    auto* policy = command.add_option("POLICY", arguments->policy, "The policy");
    command.add_option("-o,--output", arguments->output, "Where to write; else standard output")
        ->needs(policy);
    auto* input_fd = command.add_option("--input-fd", arguments->input_fd, "Open descriptor of the policy");
    auto* name = command.add_option("--name", arguments->name, "The policy's name in messages");
    auto* output_fd = command.add_option("--output-fd", arguments->output_fd, "Open descriptor to write to");
    auto* passwd_fd =
        command.add_option("--passwd-fd", arguments->passwd_fd, "Open descriptor of /etc/passwd");
    for (auto* option : {input_fd, output_fd, passwd_fd}) option->check(CLI::NonNegativeNumber);
    for (auto* option : {name, output_fd, passwd_fd}) {
        input_fd->needs(option);
        option->needs(input_fd);
    }
    input_fd->excludes(policy);
    command.callback([policy, input_fd] {
        if (policy->count() + input_fd->count() == 0) throw CLI::RequiredError("POLICY");
    });
    return [arguments] { return run(*arguments); };
}

}  // namespace sallyport::policy::cli
