#include "worker/error_map.hpp"

#include <array>
#include <cstring>
#include <utility>

#include "schema/commands.hpp"

namespace sallyport::worker {

namespace {

constexpr std::string_view kDefaultMode = "r";
constexpr const char* kNotPermitted = "Operation not permitted";
constexpr const char* kSpent = "Resource temporarily unavailable";  // the text of EAGAIN

std::string quoted(std::string_view text) {
    return "'" + std::string(text) + "'";
}

std::string number(std::int64_t value) {
    return std::to_string(value);
}

std::string_view mode_of(const schema::FileOpen& open) {
    return open.has_mode() ? std::string_view(open.mode()) : kDefaultMode;
}

std::string user_of(const ipc::Request& request) {
    if (request.has_ssh_get_authorized_keys()) return request.ssh_get_authorized_keys().username();
    if (request.has_ssh_add_authorized_keys()) return request.ssh_add_authorized_keys().username();
    return request.ssh_remove_authorized_keys().username();
}

bool is_about_account(const ipc::Request& request) {
    return request.has_set_user_password() || request.has_ssh_get_authorized_keys() ||
           request.has_ssh_add_authorized_keys() || request.has_ssh_remove_authorized_keys();
}

// The first part of the text: what failed.
std::string action(const ipc::Request& request) {
    switch (request.command_case()) {
        case ipc::Request::kFileOpen:
            return "failed to open file " + quoted(request.file_open().path()) +
                   " (mode: " + quoted(mode_of(request.file_open())) + ")";
        case ipc::Request::kFileClose:
            return "failed to close handle";
        case ipc::Request::kFileRead:
            return "failed to read file";
        case ipc::Request::kFileWrite:
            return "failed to write to file";
        case ipc::Request::kFileSeek:
            return "failed to seek file";
        case ipc::Request::kFileFlush:
            return "failed to flush file";
        case ipc::Request::kFsfreezeFreeze:
        case ipc::Request::kFsfreezeFreezeList:
            return "failed to freeze file systems";
        case ipc::Request::kFsfreezeThaw:
            return "failed to thaw file systems";
        case ipc::Request::kFstrim:
            return "failed to trim file systems";
        case ipc::Request::kExec:
            return "Failed to execute child process \u201C" + request.exec().path() + "\u201D";
        case ipc::Request::kExecStatus:
            return "failed to read what the program wrote";
        case ipc::Request::kSetUserPassword:
            return "child process has failed to set user password";
        case ipc::Request::kSshGetAuthorizedKeys:
        case ipc::Request::kSshAddAuthorizedKeys:
        case ipc::Request::kSshRemoveAuthorizedKeys:
            return "failed to access the keys of user " + quoted(user_of(request));
        case ipc::Request::kSetTime:
            return "Failed to set time to guest";
        case ipc::Request::kSetVcpus:
            return "failed to set processors";
        case ipc::Request::kSetMemoryBlocks:
            return "failed to set memory blocks";
        case ipc::Request::kShutdown:
            return "child process has failed to shutdown";
        case ipc::Request::kSuspendDisk:
        case ipc::Request::kSuspendRam:
        case ipc::Request::kSuspendHybrid:
            return "failed to suspend";
        default:
            break;
    }
    switch (command_from_number(request.inspect().command()).value_or(CommandId::kPing)) {
        case CommandId::kGetMemoryBlockInfo:
            return "Could not open '/sys/devices/system/memory/'";
        default:
            return "the command failed";
    }
}

std::int64_t handle_of(const ipc::Request& request) {
    switch (request.command_case()) {
        case ipc::Request::kFileClose:
            return request.file_close().handle();
        case ipc::Request::kFileRead:
            return request.file_read().handle();
        case ipc::Request::kFileWrite:
            return request.file_write().handle();
        case ipc::Request::kFileSeek:
            return request.file_seek().handle();
        case ipc::Request::kFileFlush:
            return request.file_flush().handle();
        default:
            return 0;
    }
}

std::int64_t count_of(const ipc::Request& request) {
    return request.has_file_read() ? request.file_read().count() : request.file_write().count();
}

// In the C locale, without translation or buffers of the library. No text for errno 0.
std::string system_text(int number_of_error) {
    if (number_of_error == 0) return {};
    const char* text = ::strerrordesc_np(number_of_error);
    return ": " + (text != nullptr ? std::string(text) : "Unknown error " + number(number_of_error));
}

bool is_about_start(const ipc::Error& error, const ipc::Request& request) {
    const bool is_refused = error.reason() == ipc::REFUSED || error.reason() == ipc::SPENT;
    return request.has_exec() && (is_refused || error.sys_errno() != 0);
}

// Like GLib's text, with the system's reason in parentheses.
std::string exec_text(const ipc::Error& error, const ipc::Request& request) {
    const std::string why = error.reason() == ipc::REFUSED ? kNotPermitted
                            : error.reason() == ipc::SPENT ? kSpent
                                                           : system_text(error.sys_errno()).substr(2);
    const std::string denial = error.denial().empty() ? "" : " (denial " + error.denial() + ")";
    return action(request) + " (" + why + ")" + denial;
}

std::string refusal_text(const ipc::Error& error) {
    const std::string denial = error.denial().empty() ? "" : " (denial " + error.denial() + ")";
    return std::string(": ") + (error.reason() == ipc::SPENT ? kSpent : kNotPermitted) + denial;
}

// The helper of a suspend, as qemu-ga names it; empty if the kernel itself was asked.
std::string helper_of(const ipc::Request& request, ipc::PowerMethod method) {
    constexpr std::array kVerbs{
        std::pair{ipc::Request::kSuspendRam, std::pair{"suspend", "pm-suspend"}},
        std::pair{ipc::Request::kSuspendDisk, std::pair{"hibernate", "pm-hibernate"}},
        std::pair{ipc::Request::kSuspendHybrid, std::pair{"hybrid-sleep", "pm-suspend-hybrid"}}};
    for (const auto& [command, verbs] : kVerbs) {
        if (command != request.command_case()) continue;
        if (method == ipc::SYSTEMD) return std::string("systemctl ") + verbs.first;
        if (method == ipc::PM_UTILS) return verbs.second;
    }
    return {};
}

std::string not_started_text(const ipc::Error& error, const ipc::Request& request) {
    const std::string helper = helper_of(request, error.method());
    if (!helper.empty()) return "the helper program " + quoted(helper) + " was not found";
    if (!request.has_shutdown() && !is_about_account(request))
        return "suspend: cannot write to '/sys/power/state'" + system_text(error.sys_errno());
    return action(request) + system_text(error.sys_errno());
}

std::string exited_text(const ipc::Error& error, const ipc::Request& request) {
    const std::string status = number(error.exit_status());
    const std::string helper = helper_of(request, error.method());
    if (helper.empty()) return action(request) + ": exit status " + status;
    return "the helper program " + quoted(helper) + " returned an unexpected exit status code (" + status +
           ")";
}

std::string unsupported_text(const ipc::Request& request) {
    if (request.has_shutdown()) return action(request) + ": Operation not supported";
    return "the requested suspend mode is not supported by the guest";
}

std::string keys_text(const ipc::Error& error, const ipc::Request& request) {
    const std::string why = system_text(error.sys_errno());
    // The C library says nothing of why there is no user, and qemu-ga tells that.
    if (error.reason() == ipc::NO_USER)
        return "failed to lookup user " + quoted(user_of(request)) + ": Success";
    if (error.reason() == ipc::KEYS_DIRECTORY)
        return "failed to create directory " + quoted(error.file()) + why;
    if (error.reason() == ipc::KEYS_WRITE) return "failed to write to " + quoted(error.file()) + why;
    return "failed to read " + quoted(error.file()) + ": Failed to open file \u201C" + error.file() +
           "\u201D" + why;
}

// What failed in setting the first processor of a list, or the hardware clock; empty if it is something else. qemu-ga's path has two
// slashes.
std::string setting_text(const ipc::Error& error, const ipc::Request& request) {
    const auto& vcpus = request.set_vcpus().vcpus();
    const std::string id = number(vcpus.empty() ? 0 : vcpus[0].logical_id());
    const std::string directory = "/sys/devices/system/cpu/cpu" + id + "/";
    const std::string why = system_text(error.sys_errno());
    switch (error.reason()) {
        case ipc::CPU_DIRECTORY:
            return "Could not open '" + directory + "'" + why;
        case ipc::CPU_OPEN:
            return "could not open " + directory + "/online" + why;
        case ipc::CPU_READ:
            return "pread(\"" + directory + "/online\")" + (why.empty() ? ": unexpected EOF" : why);
        case ipc::CPU_FIXED:
            return "logical processor #" + id + " can't be offlined";
        case ipc::CPU_WRITE:
            return "pwrite(\"" + directory + "/online\")" + why;
        case ipc::HARDWARE_CLOCK:
            return "child process has failed to set hardware clock to system time" + why;
        default:
            return {};
    }
}

std::string bad_handle_text(const ipc::Request& request) {
    if (request.has_exec_status()) return "PID " + number(request.exec_status().pid()) + " does not exist";
    return "handle " + quoted(number(handle_of(request))) + " has not been found";
}

// The missing parenthesis is qemu-ga's.
std::string bad_mode_text(const ipc::Request& request) {
    if (request.has_shutdown()) return "mode is invalid (valid values are: halt|powerdown|reboot";
    return "invalid file open mode " + quoted(mode_of(request.file_open()));
}

}  // namespace

HostError host_error(const ipc::Error& error, const ipc::Request& request, std::string_view command) {
    if (is_about_start(error, request)) return generic_error(exec_text(error, request));
    if (const auto text = setting_text(error, request); !text.empty()) return generic_error(text);
    switch (error.reason()) {
        case ipc::DISABLED:
        case ipc::FROZEN:
            return command_disabled(command);
        case ipc::REFUSED:
        case ipc::SPENT:
            return generic_error(action(request) + refusal_text(error));
        case ipc::NOT_RECORDED:
            return generic_error(action(request) + ": the guest's audit log cannot be written");
        case ipc::BAD_HANDLE:
            return generic_error(bad_handle_text(request));
        case ipc::BAD_MODE:
            return generic_error(bad_mode_text(request));
        case ipc::BAD_COUNT:
            return generic_error("value " + quoted(number(count_of(request))) +
                                 " is invalid for argument count");
        case ipc::BAD_WHENCE:
            return generic_error("invalid whence code " + number(request.file_seek().whence().code()));
        case ipc::STATE_NOT_SAVED:
            return generic_error("failed to commit persistent state to disk");
        case ipc::MOUNT_OPEN:
            return generic_error("failed to open " + error.mount() + system_text(error.sys_errno()));
        case ipc::MOUNT_FREEZE:
            return generic_error("failed to freeze " + error.mount() + system_text(error.sys_errno()));
        case ipc::MOUNT_THAW:
            return generic_error("failed to thaw " + error.mount() + system_text(error.sys_errno()));
        case ipc::HOOK_FAILED:
            if (error.sys_errno() == 0) return generic_error("child process has terminated abnormally");
            return generic_error("child process has failed to execute fsfreeze hook: exit status " +
                                 number(error.sys_errno()));
        case ipc::UNSUPPORTED:
            return generic_error(unsupported_text(request));
        case ipc::CHILD_EXITED:
            return generic_error(exited_text(error, request));
        case ipc::CHILD_KILLED:
            return generic_error("child process has terminated abnormally");
        case ipc::NOT_STARTED:
            return generic_error(not_started_text(error, request));
        case ipc::LATE:
            return generic_error("the guest did not answer in time");
        case ipc::CRASHED:
            return generic_error("the guest's state could not be read");
        case ipc::TOO_LARGE:
            return generic_error("the reply is too large");
        case ipc::NO_BLOCKS:
            return generic_error("guest reported zero memory blocks!");
        case ipc::NO_USER:
        case ipc::KEYS_READ:
        case ipc::KEYS_DIRECTORY:
        case ipc::KEYS_WRITE:
            return generic_error(keys_text(error, request));
        case ipc::SYSTEM:
        default:
            return generic_error(action(request) + system_text(error.sys_errno()));
    }
}

}  // namespace sallyport::worker
