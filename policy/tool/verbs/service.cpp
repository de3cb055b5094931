// service: parses the command line of sallyportd, in a process that can do nothing else.
//
// The daemon parses no text: it passes its own arguments, and the configuration file as an open descriptor once a first run has
// told which file that is. The options and keys are qemu-ga's, in short and long form.
#include <array>
#include <charconv>
#include <string>
#include <string_view>
#include <vector>

#include "ipc/limits.hpp"
#include "policy/tool/compile/key_file.hpp"
#include "policy/tool/compile/problems.hpp"
#include "policy/tool/verbs/files.hpp"
#include "policy/tool/verbs/service_options.hpp"
#include "policy/tool/verbs/verb.hpp"
#include "sandbox/lockdown.hpp"
#include "schema/commands.hpp"

namespace sallyport::policy::cli {

namespace {

int refuse(const std::string& text) {
    complain("sallyportd: " + compile::printable(text) + "\n");
    return kFailure;
}

void warn(const Options& options) {
    std::vector<std::string> all = options.warnings;
    for (const CommandList* list : {&options.block_rpcs, &options.allow_rpcs})
        for (std::string& warning : warnings_about(*list)) all.push_back(std::move(warning));
    for (const std::string& warning : all) complain("sallyportd: warning: " + warning + "\n");
}

bool parse_number(std::string_view text, std::uint32_t& value) {
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
    return error == std::errc{} && end == text.data() + text.size();
}

std::string set_vsock_address(const std::string& text, compiled::Service& service) {
    const std::size_t colon = text.find(':');
    if (colon == std::string::npos) return "error parsing address '" + text + "'";
    const std::string cid = text.substr(0, colon);
    const std::string port = text.substr(colon + 1);
    std::uint32_t number = 0;
    if (!parse_number(port, number)) return "Failed to parse port '" + port + "'";
    service.set_vsock_port(number);
    if (!parse_number(cid, number)) return "Failed to parse cid '" + cid + "'";
    service.set_vsock_cid(number);
    return {};
}

struct MethodRow {
    std::string_view name;
    compiled::Service::Method method;
    const char* default_path;  // nullptr: the path must be given
};

constexpr std::array kMethods{
    MethodRow{"virtio-serial", compiled::Service::VIRTIO_SERIAL, "/dev/virtio-ports/org.qemu.guest_agent.0"},
    MethodRow{"isa-serial", compiled::Service::ISA_SERIAL, "/dev/ttyS0"},
    MethodRow{"unix-listen", compiled::Service::UNIX_LISTEN, nullptr},
    MethodRow{"vsock-listen", compiled::Service::VSOCK_LISTEN, nullptr},
};

// The error text; empty if there is no error.
std::string set_channel(Options& options, compiled::Service& service) {
    for (const MethodRow& row : kMethods) {
        if (row.name != options.method) continue;
        if (options.path.empty() && row.default_path == nullptr)
            return "must specify a path for this channel";
        if (options.path.empty()) options.path = row.default_path;
        service.set_method(row.method);
        service.set_path(options.path);
        return row.method == compiled::Service::VSOCK_LISTEN ? set_vsock_address(options.path, service) : "";
    }
    return "unsupported channel method/type: " + options.method;
}

CommandSet named(const CommandList& list) {
    CommandSet set;
    for (const std::string& name : list.names)
        if (const auto id = find_command(name)) set.add(*id);
    return set;
}

void set_commands(const Options& options, compiled::Service& service) {
    const CommandSet allowed = named(options.allow_rpcs);
    const CommandSet blocked = named(options.block_rpcs);
    for (const Command& row : kCommands)
        if ((!options.allow_rpcs.is_given || allowed.has(row.id)) && !blocked.has(row.id))
            service.add_commands(static_cast<std::uint32_t>(row.id));
}

void set_the_rest(const Options& options, compiled::Service& service) {
    service.set_logfile(options.logfile);
    service.set_pidfile(options.pidfile);
    service.set_statedir(options.statedir);
    service.set_policy(options.policy);
    service.set_fsfreeze_hook(options.fsfreeze_hook);
    service.set_daemonize(options.daemonize);
    service.set_retry_path(options.retry_path);
    if (!options.config.empty()) service.set_config(options.config);
}

int answer(const ServiceArguments& arguments, const compiled::Service& service) {
    const Status written = write_all(FdRef(arguments.output_fd), service.SerializeAsString());
    if (written) return kSuccess;
    complain(describe("output", written.error()));
    return kFailure;
}

int say(const ServiceArguments& arguments, std::string_view text) {
    print(text);
    compiled::Service service;
    service.set_is_answered(true);
    return answer(arguments, service);
}

int act(const ServiceArguments& arguments, Action action) {
    if (action == Action::kHelp) return say(arguments, help_text());
    if (action == Action::kVersion) return say(arguments, "Sallyport Guest Agent " SALLYPORT_VERSION "\n");
    if (action == Action::kListCommands) return say(arguments, command_names());
    complain("Unknown option, try 'sallyportd --help' for more information.\n");
    return kFailure;
}

// Adds the file's values to `options`. On an error prints it and returns false.
bool read_file(const ServiceArguments& arguments, Options& options) {
    const auto text = read_all(FdRef(arguments.config_fd), kMaxPolicySize);
    if (!text) return complain(describe(arguments.config_name, text.error())), false;
    const auto from_file = compile::read_key_file(*text);
    if (!from_file) return complain(compile::key_file_error(arguments.config_name, from_file.error())), false;
    merge(*from_file, options);
    const auto ignored = compile::ignored_keys(*text);
    options.warnings.insert(options.warnings.end(), ignored.begin(), ignored.end());
    return true;
}

// With all input available.
int finish(const ServiceArguments& arguments, Options& options) {
    compiled::Service service;
    if (const std::string wrong = set_channel(options, service); !wrong.empty()) return refuse(wrong);
    if (options.allow_rpcs.is_given && options.allow_rpcs.names.empty())
        return refuse("allow-rpcs: an empty list; leave it out to allow all that the policy allows");
    warn(options);
    if (options.dump) return say(arguments, dumped(options));
    set_commands(options, service);
    set_the_rest(options, service);
    return answer(arguments, service);
}

}  // namespace

int run_service(ServiceArguments& arguments) {
    if (const auto locked = sandbox::lockdown_compiler(); !locked) return refuse(locked.error().what);
    arguments.words.insert(arguments.words.begin(), "sallyportd");
    Options asked;
    if (const Action action = read_command_line(arguments.words, asked); action != Action::kServe)
        return act(arguments, action);
    // Without the file, the only result is which file is meant.
    if (!arguments.is_final || (!asked.config.empty() && asked.config != arguments.config_name)) {
        compiled::Service service;
        if (!asked.config.empty()) service.set_config(asked.config);
        return answer(arguments, service);
    }
    Options options;
    if (arguments.config_fd >= 0 && !read_file(arguments, options)) return kFailure;
    read_command_line(arguments.words, options);
    return finish(arguments, options);
}

}  // namespace sallyport::policy::cli
