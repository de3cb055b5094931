// The tool as the starter runs it: by descriptors, with its exit status and its words.
#pragma once

#include <fcntl.h>
#include <gtest/gtest.h>
#include <spawn.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <string>
#include <string_view>
#include <vector>

#include "base/unique_fd.hpp"

namespace sallyport::policy {

/// The path of the tool under test, from the command line.
inline std::string& tool() {
    static std::string path;
    return path;
}

inline UniqueFd file_with(std::string_view text) {
    UniqueFd file(::memfd_create("test", MFD_CLOEXEC));
    EXPECT_EQ(::write(file.get(), text.data(), text.size()), static_cast<ssize_t>(text.size()));
    EXPECT_EQ(::lseek(file.get(), 0, SEEK_SET), 0);
    return file;
}

inline std::string text_of(const UniqueFd& file) {
    std::string text(static_cast<std::size_t>(::lseek(file.get(), 0, SEEK_END)), '\0');
    EXPECT_EQ(::pread(file.get(), text.data(), text.size(), 0), static_cast<ssize_t>(text.size()));
    return text;
}

struct Outcome {
    int status = -1;  // -1: ended by a signal
    std::string output;
    std::string errors;
    std::string result;  // what was written to descriptor 5
};

/// Runs the tool with `input` as descriptor 3 and `passwd` as descriptor 4.
inline Outcome run(std::vector<std::string> arguments, std::string_view input = "",
                   std::string_view passwd = "root:x:0:0:\n") {
    arguments.insert(arguments.begin(), tool());
    std::vector<char*> argv;
    for (std::string& argument : arguments) argv.push_back(argument.data());
    argv.push_back(nullptr);
    const std::array<UniqueFd, 5> files{file_with(""), file_with(""), file_with(input), file_with(passwd),
                                        file_with("")};
    posix_spawn_file_actions_t actions;
    ::posix_spawn_file_actions_init(&actions);
    // First out of the way of the numbers they are meant to have.
    for (int at = 0; at < 5; ++at)
        ::posix_spawn_file_actions_adddup2(&actions, files[static_cast<std::size_t>(at)].get(), 100 + at);
    for (int at = 0; at < 5; ++at) ::posix_spawn_file_actions_adddup2(&actions, 100 + at, 1 + at);
    pid_t child = 0;
    EXPECT_EQ(::posix_spawn(&child, tool().c_str(), &actions, nullptr, argv.data(), environ), 0);
    ::posix_spawn_file_actions_destroy(&actions);
    int status = 0;
    EXPECT_EQ(::waitpid(child, &status, 0), child);
    return {.status = WIFEXITED(status) ? WEXITSTATUS(status) : -1,
            .output = text_of(files[0]),
            .errors = text_of(files[1]),
            .result = text_of(files[4])};
}

}  // namespace sallyport::policy
