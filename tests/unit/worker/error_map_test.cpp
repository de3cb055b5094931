#include "worker/error_map.hpp"

#include <gtest/gtest.h>

#include <cerrno>

namespace sallyport::worker {
namespace {

ipc::Request open_request() {
    ipc::Request request;
    request.mutable_file_open()->set_path("/a");
    return request;
}

ipc::Request with_handle(ipc::Request::CommandCase command) {
    ipc::Request request;
    switch (command) {
        case ipc::Request::kFileClose:
            request.mutable_file_close()->set_handle(999);
            break;
        case ipc::Request::kFileRead:
            request.mutable_file_read()->set_handle(999);
            break;
        case ipc::Request::kFileWrite:
            request.mutable_file_write()->set_handle(999);
            break;
        case ipc::Request::kFileSeek:
            request.mutable_file_seek()->set_handle(999);
            break;
        default:
            request.mutable_file_flush()->set_handle(999);
            break;
    }
    return request;
}

std::string told(ipc::Reason reason, const ipc::Request& request, int sys_errno = 0,
                 const char* denial = "") {
    ipc::Error error;
    error.set_reason(reason);
    error.set_sys_errno(sys_errno);
    error.set_denial(denial);
    const HostError host = host_error(error, request, "guest-x");
    return (host.error_class == ErrorClass::kGeneric ? "" : "CommandNotFound ") + host.desc;
}

TEST(ErrorMap, DisabledCommandIsNotFound) {
    EXPECT_EQ(told(ipc::DISABLED, open_request()),
              "CommandNotFound Command guest-x has been disabled: the command is not allowed");
}

TEST(ErrorMap, OpenNamesPathAndMode) {
    ipc::Request request = open_request();
    EXPECT_EQ(told(ipc::SYSTEM, request, ENOENT),
              "failed to open file '/a' (mode: 'r'): No such file or directory");
    request.mutable_file_open()->set_mode("w+");
    EXPECT_EQ(told(ipc::SYSTEM, request, ENXIO),
              "failed to open file '/a' (mode: 'w+'): No such device or address");
    EXPECT_EQ(told(ipc::SYSTEM, request), "failed to open file '/a' (mode: 'w+')");
    EXPECT_EQ(told(ipc::SYSTEM, request, 9999), "failed to open file '/a' (mode: 'w+'): Unknown error 9999");
    EXPECT_EQ(told(ipc::BAD_MODE, request), "invalid file open mode 'w+'");
    EXPECT_EQ(told(ipc::STATE_NOT_SAVED, request), "failed to commit persistent state to disk");
}

TEST(ErrorMap, RefusalLooksLikeTheKernelsAndNamesItsDenial) {
    EXPECT_EQ(told(ipc::REFUSED, open_request(), 0, "4f-17"),
              "failed to open file '/a' (mode: 'r'): Operation not permitted (denial 4f-17)");
    EXPECT_EQ(told(ipc::REFUSED, with_handle(ipc::Request::kFileWrite), 0, "4f-18"),
              "failed to write to file: Operation not permitted (denial 4f-18)");
    EXPECT_EQ(told(ipc::REFUSED, open_request()),
              "failed to open file '/a' (mode: 'r'): Operation not permitted");
}

TEST(ErrorMap, ASpentBudgetLooksLikeWhatMaySucceedLater) {
    EXPECT_EQ(told(ipc::SPENT, open_request(), 0, "4f-20"),
              "failed to open file '/a' (mode: 'r'): Resource temporarily unavailable (denial 4f-20)");
    ipc::Request exec;
    exec.mutable_exec()->set_path("/bin/x");
    EXPECT_EQ(told(ipc::SPENT, exec, 0, "4f-21"),
              "Failed to execute child process \u201C/bin/x\u201D (Resource temporarily unavailable) (denial "
              "4f-21)");
    EXPECT_EQ(told(ipc::SPENT, with_handle(ipc::Request::kFileWrite)),
              "failed to write to file: Resource temporarily unavailable");
}

TEST(ErrorMap, PasswordsAndKeysFailInQemuGasWords) {
    ipc::Request password;
    password.mutable_set_user_password()->set_username("u");
    const std::string start = "child process has failed to set user password";
    EXPECT_EQ(told(ipc::REFUSED, password, 0, "4f-19"), start + ": Operation not permitted (denial 4f-19)");
    EXPECT_EQ(told(ipc::NOT_STARTED, password, ENOENT), start + ": No such file or directory");
    ipc::Request keys;
    keys.mutable_ssh_add_authorized_keys()->set_username("u");
    EXPECT_EQ(told(ipc::REFUSED, keys), "failed to access the keys of user 'u': Operation not permitted");
    EXPECT_EQ(told(ipc::NO_USER, keys), "failed to lookup user 'u': Success");
    ipc::Error error;
    error.set_sys_errno(EACCES);
    error.set_file("/h/k");
    const auto text = [&](ipc::Reason reason) {
        error.set_reason(reason);
        return host_error(error, keys, "guest-x").desc;
    };
    EXPECT_EQ(text(ipc::KEYS_READ),
              "failed to read '/h/k': Failed to open file \u201C/h/k\u201D: Permission denied");
    EXPECT_EQ(text(ipc::KEYS_DIRECTORY), "failed to create directory '/h/k': Permission denied");
    EXPECT_EQ(text(ipc::KEYS_WRITE), "failed to write to '/h/k': Permission denied");
}

struct Action {
    ipc::Request::CommandCase command;
    const char* text;
};
class Actions : public testing::TestWithParam<Action> {};

TEST_P(Actions, AreNamedAndSoIsTheHandle) {
    const ipc::Request request = with_handle(GetParam().command);
    EXPECT_EQ(told(ipc::SYSTEM, request, EIO), std::string(GetParam().text) + ": Input/output error");
    EXPECT_EQ(told(ipc::BAD_HANDLE, request), "handle '999' has not been found");
}

INSTANTIATE_TEST_SUITE_P(, Actions,
                         testing::Values(Action{ipc::Request::kFileClose, "failed to close handle"},
                                         Action{ipc::Request::kFileRead, "failed to read file"},
                                         Action{ipc::Request::kFileWrite, "failed to write to file"},
                                         Action{ipc::Request::kFileSeek, "failed to seek file"},
                                         Action{ipc::Request::kFileFlush, "failed to flush file"}));

TEST(ErrorMap, CountAndWhenceAreQuoted) {
    ipc::Request read;
    read.mutable_file_read()->set_count(-1);
    EXPECT_EQ(told(ipc::BAD_COUNT, read), "value '-1' is invalid for argument count");
    ipc::Request write;
    write.mutable_file_write()->set_count(70);
    EXPECT_EQ(told(ipc::BAD_COUNT, write), "value '70' is invalid for argument count");
    ipc::Request seek;
    seek.mutable_file_seek()->mutable_whence()->set_code(3);
    EXPECT_EQ(told(ipc::BAD_WHENCE, seek), "invalid whence code 3");
}

TEST(ErrorMap, PowerReadsAsQemuGas) {
    ipc::Request shutdown;
    shutdown.mutable_shutdown()->set_mode("off");
    ipc::Request disk;
    disk.mutable_suspend_disk();
    EXPECT_EQ(told(ipc::BAD_MODE, shutdown), "mode is invalid (valid values are: halt|powerdown|reboot");
    EXPECT_EQ(told(ipc::UNSUPPORTED, disk), "the requested suspend mode is not supported by the guest");
    EXPECT_EQ(told(ipc::CHILD_KILLED, shutdown), "child process has terminated abnormally");
    EXPECT_EQ(told(ipc::NOT_STARTED, shutdown, EPERM),
              "child process has failed to shutdown: Operation not permitted");
    EXPECT_EQ(told(ipc::NOT_STARTED, disk, EBUSY),
              "suspend: cannot write to '/sys/power/state': Device or resource busy");
    ipc::Error error;
    error.set_reason(ipc::CHILD_EXITED);
    error.set_exit_status(3);
    EXPECT_EQ(host_error(error, shutdown, "x").desc, "child process has failed to shutdown: exit status 3");
    error.set_method(ipc::SYSTEMD);
    EXPECT_EQ(host_error(error, disk, "x").desc,
              "the helper program 'systemctl hibernate' returned an unexpected exit status code (3)");
    error.set_reason(ipc::NOT_STARTED);
    error.set_method(ipc::PM_UTILS);
    EXPECT_EQ(host_error(error, disk, "x").desc, "the helper program 'pm-hibernate' was not found");
}

TEST(ErrorMap, SettingReadsAsQemuGas) {
    ipc::Request cpu;
    cpu.mutable_set_vcpus()->add_vcpus()->set_logical_id(-1);
    EXPECT_EQ(told(ipc::CPU_DIRECTORY, cpu, ENOENT),
              "Could not open '/sys/devices/system/cpu/cpu-1/': No such file or directory");
    EXPECT_EQ(told(ipc::CPU_OPEN, cpu, EACCES),
              "could not open /sys/devices/system/cpu/cpu-1//online: Permission denied");
    EXPECT_EQ(told(ipc::CPU_READ, cpu, EIO),
              "pread(\"/sys/devices/system/cpu/cpu-1//online\"): Input/output error");
    EXPECT_EQ(told(ipc::CPU_READ, cpu), "pread(\"/sys/devices/system/cpu/cpu-1//online\"): unexpected EOF");
    EXPECT_EQ(told(ipc::CPU_WRITE, cpu, EBUSY),
              "pwrite(\"/sys/devices/system/cpu/cpu-1//online\"): Device or resource busy");
    EXPECT_EQ(told(ipc::CPU_FIXED, cpu), "logical processor #-1 can't be offlined");
    EXPECT_EQ(told(ipc::REFUSED, cpu, 0, "7"),
              "failed to set processors: Operation not permitted (denial 7)");
    ipc::Request time;
    time.mutable_set_time();
    EXPECT_EQ(told(ipc::SYSTEM, time, EPERM), "Failed to set time to guest: Operation not permitted");
    EXPECT_EQ(told(ipc::HARDWARE_CLOCK, time, EINVAL),
              "child process has failed to set hardware clock to system time: Invalid argument");
    ipc::Request none;
    none.mutable_set_vcpus();
    EXPECT_EQ(told(ipc::CPU_FIXED, none), "logical processor #0 can't be offlined");
}

}  // namespace
}  // namespace sallyport::worker
