#include "tests/support/audit.hpp"

#include <sha2.h>
#include <sys/syscall.h>

#include <algorithm>
#include <array>
#include <boost/json/parse.hpp>
#include <boost/json/serialize.hpp>
#include <boost/json/value_to.hpp>
#include <filesystem>
#include <fstream>
#include <sstream>

#include "tests/support/process.hpp"
#include "tests/support/wait.hpp"

namespace sallyport::test {

namespace json = boost::json;

std::string hash_of_line(const std::string& line) {
    std::array<char, SHA256_DIGEST_STRING_LENGTH> hex{};
    SHA256Data(reinterpret_cast<const std::uint8_t*>(line.data()), line.size(), hex.data());
    return hex.data();
}

namespace {

// What a process that waits in ppoll() has said: how many descriptors, and whether it waits without a deadline.
struct Wait {
    int descriptors = 0;
    bool is_endless = false;
};

Wait wait_of(pid_t process) {
    std::ifstream file("/proc/" + std::to_string(process) + "/syscall");
    std::string call, fds, count, deadline;
    file >> call >> fds >> count >> deadline;
    if (call != std::to_string(SYS_ppoll)) return {};
    return {.descriptors = std::stoi(count, nullptr, 16), .is_endless = deadline == "0x0"};
}

constexpr int kWriterWaitsFor = 2;  // the broker and the keeper
constexpr int kKeeperWaitsFor = 1;  // the writer

pid_t find_waiting(const std::string& state_directory, int descriptors) {
    pid_t found = -1;
    eventually([&] {
        for (const pid_t process : recorders_of(state_directory))
            if (wait_of(process).descriptors == descriptors) found = process;
        return found != -1;
    });
    return found;
}

}  // namespace

std::vector<pid_t> recorders_of(const std::string& state_directory) {
    std::vector<pid_t> found;
    for (const auto& entry : std::filesystem::directory_iterator("/proc")) {
        const std::string name = entry.path().filename();
        if (!std::ranges::all_of(name, [](char c) { return c >= '0' && c <= '9'; })) continue;
        const pid_t process = std::stoi(name);
        if (name_of(process) != "sallyport-recorder") continue;
        const auto links = list_descriptors(process);
        if (std::ranges::find(links, state_directory) != links.end()) found.push_back(process);
    }
    return found;
}

pid_t writer_of(const std::string& state_directory) {
    return find_waiting(state_directory, kWriterWaitsFor);
}

pid_t keeper_of(const std::string& state_directory) {
    return find_waiting(state_directory, kKeeperWaitsFor);
}

void settle_log(const std::string& state_directory) {
    eventually([&] {
        const auto all = recorders_of(state_directory);
        return all.empty() || std::ranges::any_of(all, [](pid_t process) {
                   const Wait wait = wait_of(process);
                   return wait.descriptors == kWriterWaitsFor && wait.is_endless;
               });
    });
}

std::vector<std::string> audit_lines(const std::string& file) {
    std::vector<std::string> lines;
    std::ifstream stream(file, std::ios::binary);
    for (std::string line; std::getline(stream, line);) lines.push_back(line);
    return lines;
}

std::vector<json::object> audit_records(const std::string& file) {
    std::vector<json::object> records;
    for (const std::string& line : audit_lines(file)) records.push_back(json::parse(line).as_object());
    return records;
}

std::string text_of(const json::object& record, std::string_view member) {
    const json::value* value = record.if_contains(json::string_view(member.data(), member.size()));
    if (value == nullptr) return {};
    return value->is_string() ? json::value_to<std::string>(*value) : json::serialize(*value);
}

int first_broken_link(const std::vector<std::string>& lines) {
    for (std::size_t at = 1; at < lines.size(); ++at)
        if (text_of(json::parse(lines[at]).as_object(), "prev") != hash_of_line(lines[at - 1]))
            return static_cast<int>(at);
    return -1;
}

}  // namespace sallyport::test
