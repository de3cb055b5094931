// What is asked of this room, and what it answers.
// Runs in:  files, in a clerk
#pragma once

#include <expected>
#include <optional>
#include <span>
#include <string>

#include "base/result.hpp"
#include "base/unique_fd.hpp"
#include "ipc/files.pb.h"
#include "policy/decide.hpp"

namespace sallyport::files {

/// What an fopen() mode asks for.
struct OpenMode {
    policy::Access wanted;  // read and write
    bool may_create = false;
    bool truncate = false;
    bool append = false;
};

/// Nothing for a number that is no mode. The flags follow from the mode, so that nobody can ask for another combination.
constexpr std::optional<OpenMode> to_open_mode(ipc::OpenOrder::Mode mode) {
    switch (mode) {
        case ipc::OpenOrder::READ:
            return OpenMode{.wanted = {.read = true}};
        case ipc::OpenOrder::WRITE:
            return OpenMode{.wanted = {.write = true}, .may_create = true, .truncate = true};
        case ipc::OpenOrder::APPEND:
            return OpenMode{.wanted = {.write = true}, .may_create = true, .append = true};
        case ipc::OpenOrder::UPDATE:
            return OpenMode{.wanted = {.read = true, .write = true}};
        case ipc::OpenOrder::RENEW:
            return OpenMode{.wanted = {.read = true, .write = true}, .may_create = true, .truncate = true};
        case ipc::OpenOrder::EXTEND:
            return OpenMode{.wanted = {.read = true, .write = true}, .may_create = true, .append = true};
        default:
            return std::nullopt;
    }
}

/// One open, as it was decided. Lends what it refers to.
struct Order {
    const policy::GuestPath& path;
    const OpenMode& mode;
    std::span<const policy::Grant> grants;  // to be tried in this order; at least one
    policy::WallTime now = 0;
    bool names_directory = false;  // the host wrote a slash at the end
};

/// What was opened, and under which grant: the one for where it lies.
struct Opened {
    UniqueFd fd;
    policy::Grant grant;
    std::string place;  // where that is, if a link led there
    bool is_regular = false;
};

/// Why nothing was opened: the policy, if sys_errno is 0, else the system.
///
/// THREAT: what is said must not tell what exists behind a denial. Whoever finds something denied on the way, or in the place
/// where a name is missing, says so by refused(), whatever error the system had.
struct Unopened {
    const char* why = "";
    int sys_errno = 0;
    std::size_t rule = policy::kNoRule;  // the deny rule, if that is why

    Unopened(const char* reason, int error) : why(reason), sys_errno(error) {}
    // Not explicit: TRY() hands a plain Error on.
    Unopened(const Error& error) : why(error.what), sys_errno(error.sys_errno) {}
};

template <typename T>
using Outcome = std::expected<T, Unopened>;

inline std::unexpected<Unopened> refused(const char* why, std::size_t rule = policy::kNoRule) {
    Unopened refusal(why, 0);
    refusal.rule = rule;
    return std::unexpected(refusal);
}

/// What a file that is made needs.
inline policy::Access creating(const OpenMode& mode) {
    policy::Access access = mode.wanted;
    access.create = true;
    return access;
}

}  // namespace sallyport::files
