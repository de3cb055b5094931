// Acts between two system calls of another process, at a step that the test chooses: a race without luck.
#pragma once

#include <functional>
#include <map>
#include <string>

namespace sallyport::test {

/// What the process did.
struct Stepped {
    std::string answer;     // of `body`; empty if it did not get to its end
    std::size_t calls = 0;  // system calls that `body` began
};

/// Runs `prepare` and then `body` in a child process, which is stopped at the beginning of each system call of `body`. Before the
/// call with number N (from 0) `acts[N]` is done by the caller's process, if there is such an act.
Stepped step_through(const std::function<void()>& prepare, const std::function<std::string()>& body,
                     const std::map<std::size_t, std::function<void()>>& acts);

}  // namespace sallyport::test
