// The words of the verbs with which an admin moves to a policy, deploys it and looks after it.
#include <CLI/CLI.hpp>
#include <memory>

#include "policy/tool/verbs/declare.hpp"
#include "policy/tool/verbs/verb.hpp"

namespace sallyport::policy::cli {

Run declare_import(CLI::App& command) {
    const auto arguments = std::make_shared<ImportArguments>();
    command.add_option(
        "FILE", arguments->files,
        "qemu-ga.conf, or an environment file: /etc/sysconfig/qemu-ga, /etc/default/qemu-guest-agent");
    command.add_option("-a,--allow-rpcs", arguments->allow, "The list that qemu-ga had under this name");
    command.add_option("-b,--block-rpcs", arguments->block, "The list that qemu-ga had under this name");
    command.add_flag("--strict", arguments->is_strict, "Leave as comments what could not be made safe");
    command.footer("Status 0: all of it is safe. 3: something in the policy is as open as qemu-ga was.");
    return [arguments] { return run_import(*arguments); };
}

}  // namespace sallyport::policy::cli
