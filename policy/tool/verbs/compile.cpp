// compile: turns a policy into the form that the agent reads. The starter passes descriptors, people pass file names.
#include <unistd.h>

#include <string>

#include "policy/tool/verbs/confined.hpp"
#include "policy/tool/verbs/files.hpp"
#include "policy/tool/verbs/verb.hpp"

namespace sallyport::policy::cli {

namespace {

/// The file is created only when there is something to write.
int compile_path(const CompileArguments& arguments) {
    const auto input = open_input(arguments.policy, arguments.folders);
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

}  // namespace

int run_compile(const CompileArguments& arguments) {
    if (arguments.input_fd < 0) return compile_path(arguments);
    const CompilerInput input{.policy = UniqueFd(arguments.input_fd),
                              .passwd = UniqueFd(arguments.passwd_fd),
                              .group = UniqueFd(arguments.group_fd),
                              .zones = UniqueFd(arguments.zones_fd),
                              .name = arguments.name,
                              .fragments_fd = UniqueFd(arguments.fragments_fd)};
    return compile_here(input, UniqueFd(arguments.output_fd));
}

}  // namespace sallyport::policy::cli
