// The words of the verbs with which an admin moves to a policy, deploys it and looks after it.
#include <CLI/CLI.hpp>
#include <memory>

#include "policy/tool/verbs/agent_state.hpp"
#include "policy/tool/verbs/declare.hpp"
#include "policy/tool/verbs/verb.hpp"

namespace sallyport::policy::cli {

void declare_folders(CLI::App& command, Folders& folders) {
    command.add_option(
        "--folder", folders.own,
        "The folder whose files belong to the policy; else, of x.toml, x.d beside it, if it is there");
    command
        .add_option("--vendor-folder", folders.vendor, "The folder of files that may only deny and say never")
        ->capture_default_str();
}

Run declare_apply(CLI::App& command) {
    const auto arguments = std::make_shared<ApplyArguments>();
    arguments->target = kPolicyPath;
    arguments->state_directory = kStateDirectory;
    arguments->restart = {"/usr/bin/systemctl", "restart", "sallyport.service"};
    arguments->identity = "policy";
    arguments->patience = 15;
    auto* policy =
        command.add_option("POLICY", arguments->policy,
                           "The policy that is to be in force, with the folder beside it, if there is one");
    auto* drop_in = command
                        .add_option("--drop-in", arguments->drop_ins,
                                    "Instead: a file that comes into the folder of the policy in force")
                        ->expected(1)
                        ->take_all()
                        ->excludes(policy);
    auto* without =
        command.add_option("--without", arguments->without, "Instead: the name of a file that goes from it")
            ->expected(1)
            ->take_all()
            ->excludes(policy);
    command.add_option("--to", arguments->target, "The file that it replaces")->capture_default_str();
    command.add_option("--statedir", arguments->state_directory, "The agent's state directory")
        ->capture_default_str();
    command.add_option("--restart", arguments->restart, "The command that restarts the agent, a word each")
        ->expected(1, 16);
    command.add_option("--wait", arguments->patience, "Seconds until the agent must serve")
        ->check(CLI::Range(1, 600))
        ->capture_default_str();
    auto* signers = command.add_option(
        "--require-signature", arguments->signers,
        "A file of keys as ssh-keygen -Y verify takes it; only root may be able to change it");
    signers->needs(policy);
    command.add_option("--signature", arguments->signature, "The signature; else POLICY.sig")->needs(signers);
    command.add_option("--identity", arguments->identity, "Whose key must have signed")
        ->needs(signers)
        ->capture_default_str();
    command.add_flag("--widen", arguments->may_widen, "A host may be able to do more than before");
    auto* is_sure = command.add_flag("-y,--yes", arguments->is_sure, "Do not ask");
    command
        .add_flag("--json", arguments->as_json,
                  "What diff says as one JSON object, and what was done as another")
        ->needs(is_sure);
    command.callback([policy, drop_in, without] {
        if (policy->count() + drop_in->count() + without->count() == 0) throw CLI::RequiredError("POLICY");
    });
    command.footer(
        "Status 0: it is in force. 1: it is not; what was before is. 3: not done, since nobody agreed or "
        "file "
        "systems are frozen. 4: not done, since a host could do more.");
    return [arguments] { return run_apply(*arguments); };
}

Run declare_privileges(CLI::App& command) {
    const auto arguments = std::make_shared<PrivilegesArguments>();
    command.add_option("POLICY", arguments->policy, "Also the places that this policy opens to each process");
    command.add_flag("--json", arguments->as_json, "One JSON object a line");
    declare_folders(command, arguments->folders);
    return [arguments] { return run_privileges(*arguments); };
}

Run declare_schema(CLI::App&) {
    return run_schema;
}

Run declare_status(CLI::App& command) {
    const auto arguments = std::make_shared<StatusArguments>();
    arguments->policy = kPolicyPath;
    arguments->state_directory = kStateDirectory;
    command.add_option("--policy", arguments->policy, "The policy on disk")->capture_default_str();
    command.add_option("--statedir", arguments->state_directory, "The agent's state directory")
        ->capture_default_str();
    command.add_option("--serves", arguments->serves,
                       "Print nothing; status 0 if it serves by the policy with this digest");
    command.add_flag("--json", arguments->as_json, "One JSON object");
    command.footer(
        "Status 0: all is well. 3: it does not run, is frozen, has lost lines, or another policy is on "
        "disk.");
    return [arguments] { return run_status(*arguments); };
}

Run declare_import(CLI::App& command) {
    const auto arguments = std::make_shared<ImportArguments>();
    command.add_option(
        "FILE", arguments->files,
        "qemu-ga.conf, or an environment file: /etc/sysconfig/qemu-ga, /etc/default/qemu-guest-agent");
    command.add_option("-a,--allow-rpcs", arguments->allow, "The list that qemu-ga had under this name");
    command.add_option("-b,--block-rpcs", arguments->block, "The list that qemu-ga had under this name");
    command.add_flag("--strict", arguments->is_strict, "Leave as comments what could not be made safe");
    command.add_flag("--json", arguments->as_json, "One JSON object");
    command.footer("Status 0: all of it is safe. 3: something in the policy is as open as qemu-ga was.");
    return [arguments] { return run_import(*arguments); };
}

}  // namespace sallyport::policy::cli
