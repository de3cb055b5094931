// Runs a piece of a test in a child process and says how the child ended.
#pragma once

#include <sys/types.h>

#include <functional>
#include <string>

#include "base/result.hpp"
#include "base/unique_fd.hpp"

namespace sallyport::sandbox::testing {

/// An ordinary user that no other process of the machine is.
inline constexpr uid_t kOrdinary = 12345;

struct Ended {
    int code = 0;    // CLD_EXITED, CLD_KILLED, CLD_DUMPED
    int status = 0;  // exit status or signal
    [[nodiscard]] bool exited(int wanted = 0) const;
    [[nodiscard]] bool killed_by_filter() const;
};

/// The child's exit status is what `body` returns.
Ended in_child(const std::function<int()>& body);

/// The same as an ordinary user. Where the tests do not run as root: as the user that they run as.
Ended in_child_as_ordinary_user(const std::function<int()>& body);

/// Takes the ids of an ordinary user if it has root's.
bool become_ordinary();

/// For bodies: 0 for success; the error goes to standard error.
int report(const Status& status);

/// A directory of its own, removed with all that is in it at the end.
class Scratch {
public:
    Scratch();
    ~Scratch();
    Scratch(const Scratch&) = delete;
    Scratch& operator=(const Scratch&) = delete;
    [[nodiscard]] std::string path(const std::string& name) const { return path_ + "/" + name; }
    [[nodiscard]] UniqueFd directory(const std::string& name) const;  // made if it is not there
    void file(const std::string& name, const std::string& text) const;

private:
    std::string path_;
};

}  // namespace sallyport::sandbox::testing
