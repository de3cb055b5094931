// Runs in:  every process
#include "base/result.hpp"

#include <cerrno>

namespace sallyport {

std::unexpected<Error> system_error(const char* what) {
    return std::unexpected(Error{Errc::kSystem, what, errno});
}

}  // namespace sallyport
