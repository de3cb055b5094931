// Errors: what a function that can fail returns, and what happens on a bug of our own.
// Runs in:  every process
//
// Three kinds, never mixed. A refusal is an Error that is answered to the host. A violation is a breach of contract by a worker,
// which is then ended. A bug is a failed SALLYPORT_CHECK: the process aborts, also in release builds.
#pragma once

#include <cstdint>
#include <cstdlib>
#include <expected>
#include <utility>

namespace sallyport {

enum class Errc : std::uint8_t {
    kInvalid,  // the input does not have the required form
    kLimit,    // a size or count is over its limit
    kClosed,   // the peer is gone
    kSystem,   // a system call failed; sys_errno says how
    kProof,    // the kernel's state is not what was set up
};

struct Error {
    Errc code;
    const char* what;  // a literal, so that no byte of a peer reaches a log
    int sys_errno = 0;
};

template <typename T>
using Result = std::expected<T, Error>;
using Status = Result<void>;

/// A kSystem error with the current errno. Call it in the statement of the failed call.
std::unexpected<Error> system_error(const char* what);

inline std::unexpected<Error> failure(Errc code, const char* what) {
    return std::unexpected(Error{code, what});
}

[[noreturn]] inline void check_failed() {
    std::abort();
}

}  // namespace sallyport

// The project's only two macros.
// SALLYPORT_CHECK: a condition that is false only if our code is wrong.
#define SALLYPORT_CHECK(condition) ((condition) ? static_cast<void>(0) : ::sallyport::check_failed())

// TRY: the value of a Result; on an error the enclosing function returns that error. Like Rust's `?`.
#define TRY(...)                                                      \
    __extension__({                                                   \
        auto tried = (__VA_ARGS__);                                   \
        if (!tried) return std::unexpected(std::move(tried).error()); \
        *std::move(tried);                                            \
    })
