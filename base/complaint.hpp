// An error and the name of what it is about: what a failed start tells the admin.
// Runs in:  starter and broker, before a host is heard; launcher, for its table
#pragma once

#include <expected>
#include <string>
#include <string_view>
#include <utility>

#include "base/result.hpp"

namespace sallyport {

/// INVARIANT: `about` is a name from the admin or the installation: a path, a program, an option. An Error has no room for text,
/// so nothing that a host or a worker sends can reach a message through one.
struct Complaint {
    Error error;
    std::string about;  // empty if the error says everything

    // Not explicit: TRY() turns a plain Error into a Complaint.
    Complaint(const Error& what) : error(what) {}
    Complaint(const Error& what, std::string name) : error(what), about(std::move(name)) {}
};

template <typename T>
using Checked = std::expected<T, Complaint>;

/// The value of `tried`, or its error as a Complaint about `name`.
template <typename T>
Checked<T> about(std::string_view name, Result<T> tried) {
    if (!tried) return std::unexpected(Complaint(tried.error(), std::string(name)));
    if constexpr (std::is_void_v<T>) {
        return {};
    } else {
        return *std::move(tried);
    }
}

inline std::unexpected<Complaint> complaint(Errc code, const char* what, std::string name) {
    return std::unexpected(Complaint(Error{code, what}, std::move(name)));
}

/// "NAME: what is wrong: what the system says". Control characters in the name become `?`; a name of more than 256 bytes is cut.
std::string text_of(const Complaint& complaint);

}  // namespace sallyport
