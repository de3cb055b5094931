#include "policy/tool/verbs/start_program.hpp"

#include <fcntl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>

namespace sallyport::policy::cli {

namespace {

constexpr int kNotStarted = 127;

// THREAT: the environment of whoever runs this changes what the program does. It gets none but where programs are found.
[[noreturn]] void become(const std::vector<std::string>& words, const Ends& ends) {
    std::vector<std::string> copies = words;
    std::vector<char*> arguments;
    for (std::string& word : copies) arguments.push_back(word.data());
    arguments.push_back(nullptr);
    std::string path = "PATH=/usr/sbin:/usr/bin:/sbin:/bin";
    std::vector<char*> environment{path.data(), nullptr};
    const int nothing = ::open("/dev/null", O_RDWR | O_CLOEXEC);
    ::dup2(ends.input.get() >= 0 ? ends.input.get() : nothing, STDIN_FILENO);
    if (ends.is_silent) ::dup2(nothing, STDOUT_FILENO);
    ::execve(arguments[0], arguments.data(), environment.data());
    ::_exit(kNotStarted);
}

}  // namespace

std::optional<int> start_program(const std::vector<std::string>& words, const Ends& ends) {
    const pid_t child = ::fork();
    if (child < 0) return std::nullopt;
    if (child == 0) become(words, ends);
    int status = 0;
    pid_t ended = 0;
    do {
        ended = ::waitpid(child, &status, 0);
    } while (ended < 0 && errno == EINTR);
    const bool is_over = ended == child && WIFEXITED(status) && WEXITSTATUS(status) != kNotStarted;
    return is_over ? std::optional(WEXITSTATUS(status)) : std::nullopt;
}

std::optional<int> start_self(std::vector<std::string> words, const Ends& ends) {
    words.insert(words.begin(), "/proc/self/exe");
    return start_program(words, ends);
}

}  // namespace sallyport::policy::cli
