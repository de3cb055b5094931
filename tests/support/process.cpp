#include "tests/support/process.hpp"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <charconv>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <stdexcept>

#include "tests/support/scratch.hpp"

namespace sallyport::test {

namespace fs = std::filesystem;

namespace {

std::vector<char*> pointers(std::vector<std::string>& words) {
    std::vector<char*> list;
    for (std::string& word : words) list.push_back(word.data());
    list.push_back(nullptr);
    return list;
}

int become(Program program) {
    if (!program.output.empty()) {
        const int file = ::open(program.output.c_str(), O_WRONLY | O_CREAT | O_APPEND, 0644);
        if (file < 0 || ::dup2(file, STDOUT_FILENO) < 0 || ::dup2(file, STDERR_FILENO) < 0) return 126;
        ::close(file);
    }
    program.before_exec();
    const auto words = pointers(program.words);
    const auto environment = pointers(program.environment);
    ::execve(words[0], words.data(), environment.data());
    return 127;
}

/// The numbered field of /proc/PID/stat, counted as in proc(5); only those after the name.
std::string stat_field(pid_t process, int number) {
    std::string text;
    try {
        text = read_file("/proc/" + std::to_string(process) + "/stat");
    } catch (const std::runtime_error&) {
        return {};
    }
    const std::size_t after_name = text.rfind(')');
    if (after_name == std::string::npos) return {};
    std::istringstream rest(text.substr(after_name + 1));
    std::string field;
    for (int at = 3; at <= number; ++at) rest >> field;
    return field;
}

/// Readers of /proc race with ends: an unreadable link is a process or descriptor that has just gone.
std::string link_text(const fs::path& path) {
    std::error_code error;
    return fs::read_symlink(path, error).string();
}

}  // namespace

Child::Child(const Program& program) {
    start([&program] { return become(program); });
}

Child::Child(const std::function<int()>& body) {
    start(body);
}

void Child::start(const std::function<int()>& body) {
    const pid_t parent = ::getpid();
    pid_ = ::fork();
    if (pid_ < 0) throw std::runtime_error("fork");
    if (pid_ == 0) {
        ::prctl(PR_SET_PDEATHSIG, SIGKILL);
        if (::getppid() != parent) ::_exit(125);
        ::_exit(body());
    }
    pidfd_ = UniqueFd(static_cast<int>(::syscall(SYS_pidfd_open, pid_, 0)));
}

Child::~Child() {
    if (ending_) return;
    signal(SIGKILL);
    wait();
}

bool send_signal(pid_t process, int number) {
    if (process <= 1) throw std::runtime_error("a signal to process " + std::to_string(process));
    return ::kill(process, number) == 0;
}

void Child::signal(int number) const {
    if (!ending_) send_signal(pid_, number);
}

std::optional<Ending> Child::wait(milliseconds patience) {
    if (ending_) return ending_;
    if (!wait_for(pidfd_.get(), POLLIN, Deadline(patience))) return std::nullopt;
    int status = 0;
    if (::waitpid(pid_, &status, 0) != pid_) throw std::runtime_error("waitpid");
    ending_ = WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
    return ending_;
}

bool Child::has_ended() const {
    return ending_ || wait_for(pidfd_.get(), POLLIN, Deadline(milliseconds(0)));
}

Finished run(Program program, milliseconds patience) {
    const Scratch scratch;
    const std::string out = scratch.path("out");
    const std::string error = scratch.path("error");
    const auto before_exec = program.before_exec;
    program.before_exec = [&] {
        const int out_file = ::open(out.c_str(), O_WRONLY | O_CREAT, 0644);
        const int error_file = ::open(error.c_str(), O_WRONLY | O_CREAT, 0644);
        ::dup2(out_file, STDOUT_FILENO);
        ::dup2(error_file, STDERR_FILENO);
        ::close(out_file);
        ::close(error_file);
        before_exec();
    };
    Child child(program);
    const auto ending = child.wait(patience);
    if (!ending) throw std::runtime_error("does not end: " + program.words[0]);
    return {.ending = *ending, .out = read_file(out), .error = read_file(error)};
}

std::vector<pid_t> children_of(pid_t parent) {
    std::vector<pid_t> found;
    const std::string wanted = std::to_string(parent);
    for (const auto& entry : fs::directory_iterator("/proc")) {
        const std::string name = entry.path().filename();
        pid_t process = 0;
        if (std::from_chars(name.data(), name.data() + name.size(), process).ec != std::errc()) continue;
        if (stat_field(process, 4) == wanted && state_of(process) != 'Z') found.push_back(process);
    }
    return found;
}

bool is_running(pid_t process) {
    const char state = state_of(process);
    return state != '\0' && state != 'Z' && state != 'X';
}

std::string name_of(pid_t process) {
    try {
        const std::string words = read_file("/proc/" + std::to_string(process) + "/cmdline");
        return words.substr(0, words.find('\0'));
    } catch (const std::runtime_error&) {
        return {};
    }
}

std::string status_field(pid_t process, std::string_view field) {
    std::istringstream lines(read_file("/proc/" + std::to_string(process) + "/status"));
    const std::string start = std::string(field) + ":\t";
    for (std::string line; std::getline(lines, line);)
        if (line.starts_with(start)) return line.substr(start.size());
    throw std::runtime_error("no such line in status: " + std::string(field));
}

std::vector<std::string> list_descriptors(pid_t process) {
    std::vector<std::string> texts;
    for (const auto& entry : fs::directory_iterator("/proc/" + std::to_string(process) + "/fd"))
        texts.push_back(link_text(entry.path()));
    return texts;
}

std::size_t count_descriptors(pid_t process) {
    return list_descriptors(process).size();
}

std::size_t own_memory_kib(pid_t process) {
    std::istringstream lines(read_file("/proc/" + std::to_string(process) + "/smaps_rollup"));
    std::size_t sum = 0;
    for (std::string line; std::getline(lines, line);)
        for (const std::string_view part : {"Pss_Anon:", "Pss_Shmem:"})
            if (line.starts_with(part)) sum += std::stoul(line.substr(part.size()));
    return sum;
}

unsigned long cpu_ticks(pid_t process) {
    return std::stoul("0" + stat_field(process, 14)) + std::stoul("0" + stat_field(process, 15));
}

std::string namespace_of(pid_t process, std::string_view kind) {
    return link_text("/proc/" + std::to_string(process) + "/ns/" + std::string(kind));
}

char state_of(pid_t process) {
    const std::string field = stat_field(process, 3);
    return field.empty() ? '\0' : field[0];
}

bool has_in_memory(pid_t pid, const std::string& text) {
    std::ifstream maps("/proc/" + std::to_string(pid) + "/maps");
    const UniqueFd memory(::open(("/proc/" + std::to_string(pid) + "/mem").c_str(), O_RDONLY | O_CLOEXEC));
    if (!memory.is_open()) throw std::runtime_error("no memory of " + std::to_string(pid));
    for (std::string line; std::getline(maps, line);) {
        unsigned long begin = 0;
        unsigned long end = 0;
        std::array<char, 5> rights{};
        std::sscanf(line.c_str(), "%lx-%lx %4s", &begin, &end, rights.data());
        if (rights[0] != 'r' || line.find("[vvar") != line.npos || line.find("[vsyscall") != line.npos)
            continue;
        std::string bytes(end - begin, '\0');
        const ssize_t got = ::pread(memory.get(), bytes.data(), bytes.size(), static_cast<off_t>(begin));
        if (got > 0 && bytes.substr(0, static_cast<std::size_t>(got)).find(text) != bytes.npos) return true;
    }
    return false;
}

}  // namespace sallyport::test
