// A pair of terminal ends, in place of a serial line.
#pragma once

#include <string>

#include "base/unique_fd.hpp"

namespace sallyport::test {

struct Terminal {
    UniqueFd master;
    UniqueFd slave;  // held, so that the master never sees an end between two openings
    std::string path;
};

/// Throws if there is none.
Terminal open_terminal();

}  // namespace sallyport::test
