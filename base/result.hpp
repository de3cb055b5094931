// Errors: what a function that can fail gives back, and what a broken promise of our own does.
// Runs in:  every process
//
// Three kinds, never mixed. A refusal is an Error that reaches the host as an answer. A violation is a worker
// that broke the contract: it is ended. A bug is a SALLYPORT_CHECK that fails: the process aborts, in release
// builds too.
#pragma once

#include <cstdint>
#include <cstdlib>
#include <expected>
#include <utility>

namespace sallyport {

enum class Errc : std::uint8_t {
    kInvalid,  // the input is not of the promised form
    kLimit,    // a size or count is over its limit
    kClosed,   // the peer is gone
    kSystem,   // a system call failed; sys_errno says how
    kProof,    // the kernel does not show what was installed
};

struct Error {
    Errc code;
    const char* what;  // a literal, so that no byte of a peer reaches a log through it
    int sys_errno = 0;
};

template <typename T>
using Result = std::expected<T, Error>;
using Status = Result<void>;

/// A kSystem error with the current errno; to be called in the statement of the failed call.
std::unexpected<Error> system_error(const char* what);

inline std::unexpected<Error> failure(Errc code, const char* what) {
    return std::unexpected(Error{code, what});
}

[[noreturn]] inline void check_failed() {
    std::abort();
}

}  // namespace sallyport

// The project's two macros.
// A condition that cannot be false unless the code is wrong.
#define SALLYPORT_CHECK(condition) ((condition) ? static_cast<void>(0) : ::sallyport::check_failed())

// The value of a Result; if it is an error, the enclosing function returns that error. As Rust's `?`.
#define TRY(...)                                                      \
    __extension__({                                                   \
        auto tried = (__VA_ARGS__);                                   \
        if (!tried) return std::unexpected(std::move(tried).error()); \
        *std::move(tried);                                            \
    })
