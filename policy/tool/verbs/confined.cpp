#include "policy/tool/verbs/confined.hpp"

#include <fcntl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <csignal>

#include "ipc/limits.hpp"
#include "policy/tool/compile/compile.hpp"
#include "policy/tool/verbs/files.hpp"
#include "policy/tool/verbs/verb.hpp"
#include "sandbox/lockdown.hpp"

namespace sallyport::policy::cli {

namespace {

constexpr const char* kPasswdPath = "/etc/passwd";
constexpr const char* kGroupPath = "/etc/group";
constexpr const char* kZones = "/usr/share/zoneinfo";
constexpr std::size_t kMaxZoneSize = std::size_t{1} << 20U;
constexpr std::size_t kMaxPasswdSize = std::size_t{16} << 20U;

int fail(std::string_view name, const Error& error) {
    complain(describe(name, error));
    return kFailure;
}

/// Waits for `child`. Whether it exited with status 0.
bool has_succeeded(pid_t child) {
    int status = 0;
    pid_t ended = 0;
    do {
        ended = ::waitpid(child, &status, 0);
    } while (ended < 0 && errno == EINTR);
    if (ended == child && WIFEXITED(status)) return WEXITSTATUS(status) == kSuccess;
    complain("sallyport-policy: the confined compiler was ended by a signal\n");
    return false;
}

}  // namespace

std::optional<CompilerInput> open_input(const std::string& policy_path, const Folders& folders) {
    auto policy = open_to_read(policy_path);
    if (!policy) {
        complain(describe(policy_path, policy.error()));
        return std::nullopt;
    }
    auto passwd = open_to_read(kPasswdPath);
    if (!passwd) {
        complain(describe(kPasswdPath, passwd.error()));
        return std::nullopt;
    }
    auto group = open_to_read(kGroupPath);
    // Without a group file nobody is in any group.
    if (!group && group.error().sys_errno == ENOENT) group = open_to_read("/dev/null");
    if (!group) {
        complain(describe(kGroupPath, group.error()));
        return std::nullopt;
    }
    auto fragments = read_fragments(policy_path, folders);
    if (!fragments) return std::nullopt;
    return CompilerInput{.policy = *std::move(policy),
                         .passwd = *std::move(passwd),
                         .group = *std::move(group),
                         .zones = UniqueFd(::open(kZones, O_RDONLY | O_DIRECTORY | O_CLOEXEC)),
                         .name = policy_path,
                         .fragments = *std::move(fragments)};
}

compile::ReadZone zones_in(const UniqueFd& directory) {
    const int fd = directory.get();
    return [fd](const std::string& name) -> std::optional<std::string> {
        const UniqueFd file(::openat(fd, name.c_str(), O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK));
        if (!file.is_open()) return std::nullopt;
        auto text = read_all(file, kMaxZoneSize);
        return text ? std::optional(*std::move(text)) : std::nullopt;
    };
}

int compile_here(const CompilerInput& input, FdRef output) {
    if (const auto locked = sandbox::lockdown_compiler(input.zones); !locked)
        return fail("lockdown", locked.error());
    const auto text = read_all(input.policy, kMaxPolicySize);
    if (!text) return fail(input.name, text.error());
    const auto passwd = read_all(input.passwd, kMaxPasswdSize);
    if (!passwd) return fail(kPasswdPath, passwd.error());
    const auto group = read_all(input.group, kMaxPasswdSize);
    if (!group) return fail(kGroupPath, group.error());
    compiled::Fragments fragments = input.fragments;
    if (input.fragments_fd.is_open()) {
        const auto bytes = read_all(input.fragments_fd, 2 * kMaxPolicySize);
        if (!bytes || !fragments.ParseFromString(*bytes))
            return fail("files of the policy's folders", {Errc::kInvalid, "cannot be read"});
    }
    const auto compiled = compile::compile_policy({.text = *text,
                                                   .name = input.name,
                                                   .passwd = *passwd,
                                                   .group = *group,
                                                   .zones = zones_in(input.zones),
                                                   .fragments = &fragments});
    if (!compiled) {
        complain(compiled.error());
        return kFailure;
    }
    if (const auto written = write_all(output, compiled->SerializeAsString()); !written)
        return fail("output", written.error());
    return kSuccess;
}

std::optional<std::string> compile_apart(const CompilerInput& input) {
    std::array<int, 2> ends{};
    if (::pipe2(ends.data(), O_CLOEXEC) != 0) {
        fail("pipe", system_error("cannot be made").error());
        return std::nullopt;
    }
    const UniqueFd from_child(ends[0]);
    UniqueFd to_parent(ends[1]);
    const pid_t child = ::fork();
    if (child < 0) {
        fail("process", system_error("cannot be started").error());
        return std::nullopt;
    }
    // Ends without the destructors and buffers that were copied from the parent.
    if (child == 0) ::_exit(compile_here(input, to_parent));
    to_parent.reset();
    const auto compiled = read_all(from_child, kMaxCompiledSize);
    if (!compiled) ::kill(child, SIGKILL);
    const bool succeeded = has_succeeded(child);
    if (!compiled || !succeeded) return std::nullopt;
    return *compiled;
}

}  // namespace sallyport::policy::cli
