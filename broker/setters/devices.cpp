// Processors and memory blocks, as /sys shows them.
// Runs in:  setter, after its lockdown
// Input:    numbers of a host, which the launcher has let pass; what the kernel says
#include <dirent.h>
#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <memory>
#include <string>
#include <string_view>

#include "broker/setters/setters.hpp"

namespace sallyport::setters {

namespace {

using ipc::SetResult;

constexpr int kDirectory = O_RDONLY | O_DIRECTORY | O_CLOEXEC;

bool is_processor(std::string_view name) {
    return name.size() > 3 && name.starts_with("cpu") &&
           name.substr(3).find_first_not_of("0123456789") == name.npos;
}

// One without a file that says so is online.
bool is_online(FdRef all, const std::string& name) {
    const UniqueFd file(::openat(all.get(), (name + "/online").c_str(), O_RDONLY | O_CLOEXEC));
    char state = '0';
    if (!file.is_open()) return errno == ENOENT;
    return ::pread(file.get(), &state, 1, 0) == 1 && state != '0';
}

// None if they cannot be counted: then none is taken offline.
std::uint32_t count_online() {
    const std::unique_ptr<DIR, int (*)(DIR*)> entries(::opendir(kProcessors), ::closedir);
    if (!entries) return 0;
    const FdRef all(::dirfd(entries.get()));
    std::uint32_t count = 0;
    while (const dirent* entry = ::readdir(entries.get()))
        if (is_processor(entry->d_name) && is_online(all, entry->d_name)) ++count;
    return count;
}

}  // namespace

// In the order, and with the errors, of qemu-ga.
SetResult set_processor(const ipc::SetOrder::Processor& want, const ipc::SetRule::Processors& by) {
    const std::string path = std::string(kProcessors) + "/cpu" + std::to_string(want.id());
    const UniqueFd directory(::open(path.c_str(), kDirectory));
    if (!directory.is_open()) return result_of(SetResult::CPU_DIRECTORY, errno);
    const UniqueFd file(::openat(directory.get(), "online", O_RDWR | O_CLOEXEC));
    if (!file.is_open() && errno != ENOENT) return result_of(SetResult::CPU_OPEN, errno);
    if (!file.is_open()) return result_of(want.online() ? SetResult::DONE : SetResult::CPU_FIXED);
    char state = '0';
    const ssize_t got = ::pread(file.get(), &state, 1, 0);
    if (got != 1) return result_of(SetResult::CPU_READ, got < 0 ? errno : 0);
    if (want.online() == (state != '0')) return result_of(SetResult::DONE);
    if (!want.online() && count_online() <= by.min_online()) return result_of(SetResult::BEYOND);
    const char wanted = want.online() ? '1' : '0';
    return ::pwrite(file.get(), &wanted, 1, 0) == 1 ? result_of(SetResult::DONE)
                                                    : result_of(SetResult::CPU_WRITE, errno);
}

SetResult set_block(const ipc::SetOrder::Block& want) {
    const UniqueFd all(::open(kMemory, kDirectory));
    if (!all.is_open())
        return result_of(errno == ENOENT ? SetResult::BLOCK_UNSUPPORTED : SetResult::BLOCK_FAILED, errno);
    const std::string name = "memory" + std::to_string(want.index());
    const UniqueFd directory(::openat(all.get(), name.c_str(), kDirectory));
    if (!directory.is_open())
        return result_of(errno == ENOENT ? SetResult::BLOCK_MISSING : SetResult::BLOCK_FAILED, errno);
    const UniqueFd file(::openat(directory.get(), "state", O_RDWR | O_CLOEXEC));
    const bool is_missing = !file.is_open() && errno == ENOENT;
    // A kernel that cannot take memory away has no such file: all of it is online.
    if (is_missing && want.online()) return result_of(SetResult::DONE);
    if (!file.is_open())
        return result_of(is_missing ? SetResult::BLOCK_UNSUPPORTED : SetResult::BLOCK_FAILED, errno);
    std::array<char, 16> text{};
    const ssize_t got = ::pread(file.get(), text.data(), text.size(), 0);
    if (got < 0) return result_of(SetResult::BLOCK_FAILED, errno);
    const std::string_view state(text.data(), static_cast<std::size_t>(got));
    if (want.online() == state.starts_with("online")) return result_of(SetResult::DONE);
    const std::string_view wanted = want.online() ? "online" : "offline";
    return ::pwrite(file.get(), wanted.data(), wanted.size(), 0) >= 0
               ? result_of(SetResult::DONE)
               : result_of(SetResult::BLOCK_FAILED, errno);
}

}  // namespace sallyport::setters
