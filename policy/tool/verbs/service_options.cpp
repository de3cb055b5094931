#include "policy/tool/verbs/service_options.hpp"

#include <getopt.h>

#include <algorithm>
#include <array>
#include <string_view>

#include "policy/tool/compile/problems.hpp"
#include "policy/tool/verbs/files.hpp"
#include "schema/commands.hpp"

namespace sallyport::policy::cli {

namespace {

constexpr const char* kDefaultHook = "/etc/qemu/fsfreeze-hook";
constexpr int kOldBlock = 256;  // not a letter
constexpr std::array kLongOptions{
    option{"config", required_argument, nullptr, 'c'},
    option{"method", required_argument, nullptr, 'm'},
    option{"path", required_argument, nullptr, 'p'},
    option{"logfile", required_argument, nullptr, 'l'},
    option{"pidfile", required_argument, nullptr, 'f'},
    option{"statedir", required_argument, nullptr, 't'},
    option{"fsfreeze-hook", optional_argument, nullptr, 'F'},
    option{"verbose", no_argument, nullptr, 'v'},
    option{"version", no_argument, nullptr, 'V'},
    option{"daemonize", no_argument, nullptr, 'd'},
    option{"block-rpcs", required_argument, nullptr, 'b'},
    option{"blacklist", required_argument, nullptr, kOldBlock},
    option{"allow-rpcs", required_argument, nullptr, 'a'},
    option{"dump-conf", no_argument, nullptr, 'D'},
    option{"retry-path", no_argument, nullptr, 'r'},
    option{"help", no_argument, nullptr, 'h'},
    option{"policy", required_argument, nullptr, 'P'},
    option{},
};

bool asks_for_list(std::string_view value) {
    return value == "help" || value == "?";
}

std::string joined(const std::vector<std::string>& names) {
    std::string text;
    for (const std::string& name : names) text.append(text.empty() ? "" : ",").append(name);
    return text;
}

Action take_list(CommandList& list, const char* value) {
    if (asks_for_list(value)) return Action::kListCommands;
    list.add(value);
    return Action::kServe;
}

Action take(int letter, const char* value, Options& options) {
    switch (letter) {
        case 'c':
            options.config = value;
            break;
        case 'm':
            options.method = value;
            break;
        case 'p':
            options.path = value;
            break;
        case 'l':
            options.logfile = value;
            break;
        case 'f':
            options.pidfile = value;
            break;
        case 't':
            options.statedir = value;
            break;
        case 'F':
            options.fsfreeze_hook = value == nullptr ? kDefaultHook : value;
            break;
        case 'P':
            options.policy = value;
            break;
        case 'v':
            options.verbose = true;
            break;
        case 'd':
            options.daemonize = true;
            break;
        case 'D':
            options.dump = true;
            break;
        case 'r':
            options.retry_path = true;
            break;
        case 's':
            break;  // has a meaning only on Windows
        case kOldBlock:
            options.warnings.emplace_back(
                "--blacklist is the old name of --block-rpcs, and is taken as that");
            return take_list(options.block_rpcs, value);
        case 'b':
            return take_list(options.block_rpcs, value);
        case 'a':
            return take_list(options.allow_rpcs, value);
        case 'V':
            return Action::kVersion;
        case 'h':
            return Action::kHelp;
        default:
            return Action::kUsageError;
    }
    return Action::kServe;
}

}  // namespace

Action read_command_line(std::vector<std::string>& words, Options& options) {
    std::vector<char*> pointers;
    for (std::string& word : words) pointers.push_back(word.data());
    pointers.push_back(nullptr);
    const int count = static_cast<int>(words.size());
    ::optind = 1;
    ::opterr = 0;  // its own message prints the word unescaped
    for (;;) {
        const int letter = ::getopt_long(count, pointers.data(),
                                         "c:m:p:l:f:F::t:vVdb:a:DrhsP:", kLongOptions.data(), nullptr);
        if (letter == -1 && ::optind == count) return Action::kServe;
        if (letter == -1) {
            // For example the second part of a list with a blank after its comma.
            complain("sallyportd: " + compile::quoted(pointers[static_cast<std::size_t>(::optind)]) +
                     " belongs to no option\n");
            return Action::kUsageError;
        }
        const Action action = take(letter, ::optarg, options);
        if (action == Action::kUsageError)
            complain("sallyportd: " + compile::quoted(pointers[static_cast<std::size_t>(::optind - 1)]) +
                     " is unknown, or lacks its value\n");
        if (action != Action::kServe) return action;
    }
}

void merge(const compiled::Options& from_file, Options& options) {
    if (from_file.has_method()) options.method = from_file.method();
    if (from_file.has_path()) options.path = from_file.path();
    if (from_file.has_logfile()) options.logfile = from_file.logfile();
    if (from_file.has_pidfile()) options.pidfile = from_file.pidfile();
    if (from_file.has_statedir()) options.statedir = from_file.statedir();
    if (from_file.has_policy()) options.policy = from_file.policy();
    if (from_file.has_fsfreeze_hook()) options.fsfreeze_hook = from_file.fsfreeze_hook();
    if (from_file.has_verbose()) options.verbose = from_file.verbose();
    if (from_file.has_daemon()) options.daemonize = from_file.daemon();
    if (from_file.has_retry_path()) options.retry_path = from_file.retry_path();
    for (const std::string& list : from_file.block_rpcs()) options.block_rpcs.add(list);
    for (const std::string& list : from_file.allow_rpcs()) options.allow_rpcs.add(list);
}

std::string dumped(const Options& options) {
    const auto flag = [](bool value) { return value ? "true" : "false"; };
    std::string text = "[general]\n";
    const auto line = [&](const char* key, const std::string& value) {
        text.append(key).append("=").append(value).append("\n");
    };
    line("daemon", flag(options.daemonize));
    line("method", options.method);
    line("path", options.path);
    if (!options.logfile.empty()) line("logfile", options.logfile);
    line("pidfile", options.pidfile);
    if (!options.fsfreeze_hook.empty()) line("fsfreeze-hook", options.fsfreeze_hook);
    line("statedir", options.statedir);
    line("verbose", flag(options.verbose));
    line("retry-path", flag(options.retry_path));
    line("block-rpcs", joined(options.block_rpcs.names));
    line("allow-rpcs", joined(options.allow_rpcs.names));
    line("policy", options.policy);
    return text;
}

std::string command_names() {
    std::string names;
    for (const Command& row : kCommands) names.append(row.name).append("\n");
    return names;
}

std::string help_text() {
    return "Usage: sallyportd [-m METHOD] [-p PATH] [OPTION]...\n"
           "The Sallyport guest agent: answers a QEMU host, and does only what the policy allows.\n\n"
           "  -P, --policy=FILE      the policy (default /etc/sallyport/policy.toml)\n"
           "  -c, --config=FILE      configuration file in qemu-ga's format (default "
           "/etc/qemu/qemu-ga.conf)\n"
           "  -m, --method=METHOD    virtio-serial (default), isa-serial, unix-listen or vsock-listen\n"
           "  -p, --path=PATH        device, socket or CID:PORT; required for the listening methods\n"
           "  -t, --statedir=DIR     directory for the audit log and the handle counter (default "
           "/var/lib/sallyport)\n"
           "  -l, --logfile=FILE     log to FILE instead of standard error\n"
           "  -f, --pidfile=FILE     process id file, with -d (default /run/sallyportd.pid)\n"
           "  -F, --fsfreeze-hook[=PATH]  program, or directory of programs, around a freeze, for rules that "
           "name "
           "no hooks\n                         (without PATH: /etc/qemu/fsfreeze-hook)\n"
           "  -b, --block-rpcs=LIST  commands to disable, besides what the policy refuses; \"help\" lists "
           "all\n"
           "  -a, --allow-rpcs=LIST  the only commands to leave enabled; never more than the policy allows\n"
           "  -r, --retry-path       wait for the channel if it is not there at start\n"
           "  -d, --daemonize        run in the background\n"
           "  -D, --dump-conf        print the configuration and exit\n"
           "  -v, --verbose          accepted; every decision is logged in any case\n"
           "  -V, --version          print the version and exit\n"
           "  -h, --help             print this and exit\n";
}

}  // namespace sallyport::policy::cli
