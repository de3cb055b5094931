// options: the keys of a qemu-ga configuration file. The broker uses it by descriptors; people see what was
// understood.
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <memory>
#include <string>

#include "ipc/limits.hpp"
#include "policy/cli/files.hpp"
#include "policy/cli/verb.hpp"
#include "policy/compile/key_file.hpp"
#include "sandbox/lockdown.hpp"

namespace sallyport::policy::cli {

namespace {

using compile::key_file_error;

struct Arguments {
    std::string path;
    std::string name;
    int input_fd = -1;
    int output_fd = -1;
};

int fail(const std::string& name, std::string_view text) {
    complain(key_file_error(name, text));
    return kFailure;
}

/// Reads the file in this process, which can do nothing else afterwards. The text is GLib's for what it says.
std::expected<compiled::Options, std::string> read_locked_down(FdRef file) {
    struct stat status{};
    if (::fstat(file.get(), &status) != 0) return std::unexpected(std::strerror(errno));
    if (!S_ISREG(status.st_mode)) return std::unexpected("Not a regular file");
    if (const auto locked = sandbox::lockdown_compiler(); !locked)
        return std::unexpected(locked.error().what);
    const auto text = read_all(file, kMaxPolicySize);
    if (!text)
        return std::unexpected(
            std::strerror(text.error().code == Errc::kLimit ? EFBIG : text.error().sys_errno));
    return compile::read_key_file(*text);
}

void show(std::string& lines, const char* key, bool is_there, const std::string& value) {
    if (is_there) lines.append(key).append("=").append(value).append("\n");
}

std::string joined(const google::protobuf::RepeatedPtrField<std::string>& names) {
    std::string list;
    for (const std::string& name : names) list.append(list.empty() ? "" : ",").append(name);
    return list;
}

std::string shown(const compiled::Options& options) {
    const auto flag = [](bool value) { return std::string(value ? "true" : "false"); };
    std::string lines = "[general]\n";
    show(lines, "daemon", options.has_daemon(), flag(options.daemon()));
    show(lines, "method", options.has_method(), options.method());
    show(lines, "path", options.has_path(), options.path());
    show(lines, "logfile", options.has_logfile(), options.logfile());
    show(lines, "pidfile", options.has_pidfile(), options.pidfile());
    show(lines, "fsfreeze-hook", options.has_fsfreeze_hook(), options.fsfreeze_hook());
    show(lines, "statedir", options.has_statedir(), options.statedir());
    show(lines, "verbose", options.has_verbose(), flag(options.verbose()));
    show(lines, "retry-path", options.has_retry_path(), flag(options.retry_path()));
    show(lines, "block-rpcs", !options.block_rpcs().empty(), joined(options.block_rpcs()));
    show(lines, "allow-rpcs", !options.allow_rpcs().empty(), joined(options.allow_rpcs()));
    show(lines, "policy", options.has_policy(), options.policy());
    return lines;
}

int run_path(const Arguments& arguments) {
    const auto file = open_to_read(arguments.path);
    if (!file) return fail(arguments.path, std::strerror(file.error().sys_errno));
    const auto options = read_locked_down(*file);
    if (!options) return fail(arguments.path, options.error());
    print(shown(*options));
    return kSuccess;
}

int run(const Arguments& arguments) {
    if (arguments.input_fd < 0) return run_path(arguments);
    const UniqueFd input(arguments.input_fd);
    const UniqueFd output(arguments.output_fd);
    const auto options = read_locked_down(input);
    if (!options) return fail(arguments.name, options.error());
    const Status written = write_all(output, options->SerializeAsString());
    if (written) return kSuccess;
    complain(describe("output", written.error()));
    return kFailure;
}

}  // namespace

Run declare_options(CLI::App& command) {
    const auto arguments = std::make_shared<Arguments>();
    auto* path = command.add_option("CONFIG", arguments->path, "The configuration file");
    auto* input_fd = command.add_option("--input-fd", arguments->input_fd, "Open descriptor of the file");
    auto* name = command.add_option("--name", arguments->name, "The file's name in messages");
    auto* output_fd = command.add_option("--output-fd", arguments->output_fd, "Open descriptor to write to");
    for (auto* option : {input_fd, output_fd}) option->check(CLI::NonNegativeNumber);
    for (auto* option : {name, output_fd}) {
        input_fd->needs(option);
        option->needs(input_fd);
    }
    input_fd->excludes(path);
    command.callback([path, input_fd] {
        if (path->count() + input_fd->count() == 0) throw CLI::RequiredError("CONFIG");
    });
    return [arguments] { return run(*arguments); };
}

}  // namespace sallyport::policy::cli
