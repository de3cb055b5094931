// The orders to this folder's code, and its results.
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

/// Nothing if the number is not a mode. The flags follow from the mode, so no other combination can be asked for.
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

/// One open that was allowed. Borrows what it refers to.
struct Order {
    const policy::GuestPath& path;
    const OpenMode& mode;
    std::span<const policy::Grant> grants;  // to be tried in this order; at least one
    Moment now = 0;
    bool names_directory = false;               // the host's path ended in a slash
    std::span<const std::uint32_t> spent = {};  // rules by which nothing is opened that a link led to
};

/// The opened file, and the grant for where it lies.
struct Opened {
    UniqueFd fd;
    policy::Grant grant;
    std::string place;  // where it lies, if a link led there
    bool is_regular = false;
};

/// Why nothing was opened: by policy if sys_errno is 0, else a system error.
///
/// THREAT: an error must not tell what exists behind a denial. Code that meets something denied on the way, or in place of a
/// missing name, returns refused(), whatever the system's error was.
struct Unopened {
    const char* why = "";
    int sys_errno = 0;
    std::size_t rule =
        policy::kNoRule;  // the deny rule, or the one that is spent, if such a rule was the reason

    Unopened(const char* reason, int error) : why(reason), sys_errno(error) {}
    // Not explicit: TRY() converts a plain Error.
    Unopened(const Error& error) : why(error.what), sys_errno(error.sys_errno) {}
};

template <typename T>
using Outcome = std::expected<T, Unopened>;

inline std::unexpected<Unopened> refused(const char* why, std::size_t rule = policy::kNoRule) {
    Unopened refusal(why, 0);
    refusal.rule = rule;
    return std::unexpected(refusal);
}

/// The access that creating a file needs.
inline policy::Access creating(const OpenMode& mode) {
    policy::Access access = mode.wanted;
    access.create = true;
    return access;
}

}  // namespace sallyport::files
