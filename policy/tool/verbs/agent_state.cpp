#include "policy/tool/verbs/agent_state.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <boost/json.hpp>
#include <cerrno>
#include <cstdio>
#include <fstream>

#include "policy/tool/verbs/files.hpp"

namespace sallyport::policy::cli {

namespace {

namespace json = boost::json;

constexpr std::size_t kMaxLog = std::size_t{64} << 20U;
constexpr std::size_t kMaxSmall = std::size_t{1} << 20U;
constexpr int kMaxFiles = 1000;

std::optional<std::string> small_file(const std::string& path) {
    const auto file = open_to_read(path);
    if (!file) return std::nullopt;
    auto text = read_all(*file, kMaxSmall);
    return text ? std::optional(*std::move(text)) : std::nullopt;
}

// As /proc/locks has it: the file system's own number, which is not always what stat() says. Empty if it cannot be told.
std::string device_of(const std::string& path) {
    struct statx info{};
    const auto mounts = small_file("/proc/self/mountinfo");
    const bool has_id =
        ::statx(AT_FDCWD, path.c_str(), 0, STATX_MNT_ID, &info) == 0 && (info.stx_mask & STATX_MNT_ID) != 0;
    if (!mounts || !has_id) return {};
    for (std::size_t begin = 0; begin < mounts->size();
         begin = std::min(mounts->find('\n', begin), mounts->size() - 1) + 1) {
        unsigned long long number = 0;
        unsigned major = 0, minor = 0;
        std::array<char, 32> device{};
        if (std::sscanf(mounts->c_str() + begin, "%llu %*u %u:%u", &number, &major, &minor) != 3) return {};
        if (number != info.stx_mnt_id) continue;
        std::snprintf(device.data(), device.size(), "%02x:%02x", major, minor);
        return device.data();
    }
    return {};
}

// The end of a log, from the beginning of a line on; a log may be larger than what is looked at. `is_whole`: it is all of it.
std::string end_of(FdRef file, bool& is_whole) {
    const off_t size = ::lseek(file.get(), 0, SEEK_END);
    const off_t from = std::max<off_t>(0, size - static_cast<off_t>(kMaxLog));
    is_whole = from == 0;
    if (size < 0 || ::lseek(file.get(), from, SEEK_SET) < 0) return {};
    std::string text(static_cast<std::size_t>(size - from), '\0');
    std::size_t held = 0;
    while (held < text.size()) {
        const ssize_t got = ::read(file.get(), text.data() + held, text.size() - held);
        if (got < 0 && errno == EINTR) continue;
        if (got <= 0) break;
        held += static_cast<std::size_t>(got);
    }
    text.resize(held);
    if (!is_whole) text.erase(0, std::min(text.find('\n'), text.size() - 1) + 1);
    return text;
}

std::string member(const json::object& line, std::string_view name) {
    const json::value* value = line.if_contains(name);
    return value != nullptr && value->is_string() ? std::string(value->as_string()) : "";
}

std::uint64_t count_in(const json::value& value) {
    return value.is_int64() && value.as_int64() > 0 ? static_cast<std::uint64_t>(value.as_int64()) : 0;
}

// Takes the lines of a log from the last to the first.
class Backwards {
public:
    Backwards(LogFacts& facts, std::string_view since) : facts_(facts), since_(since) {}

    /// False if nothing earlier matters.
    bool take(std::string_view text) {
        boost::system::error_code error;
        const json::value value = json::parse({text.data(), text.size()}, error);
        if (error || !value.is_object()) return true;  // cut off by a crash of the machine
        const json::object& line = value.as_object();
        if (facts_.policy.empty()) facts_.policy = member(line, "policy");
        const bool is_recent = member(line, "time") >= since_;
        if (is_recent) count(line);
        if (!facts_.start) look_for_start(line);
        return is_recent || !facts_.start;
    }

private:
    void count(const json::object& line) {
        const std::string verdict = member(line, "verdict");
        ++facts_.verdicts[verdict];
        if (verdict == "refuse") ++facts_.refused[member(line, "what")];
        const std::string would = member(line, "would");
        if (!would.empty())
            ++(would == "allow" ? facts_.would_allow : facts_.would_refuse)[member(line, "would_rule")];
        if (const json::value* lost = line.if_contains("lost")) facts_.lost += count_in(*lost);
        const json::value* unwritten = line.if_contains("unwritten");
        if (unwritten == nullptr || !unwritten->is_object()) return;
        for (const auto& [what, times] : unwritten->as_object())
            facts_.verdicts["unwritten"] += count_in(times);
    }

    void look_for_start(const json::object& line) {
        const std::string what = member(line, "what");
        if (what == "stop" && !has_lines_) facts_.stop = member(line, "reason");
        if (what != "log-closed") has_lines_ = true;
        if (what != "start") return;
        facts_.start = LogFacts::Start{
            .time = member(line, "time"), .run = member(line, "run"), .version = {}, .policy_path = {}};
        const json::value* arguments = line.if_contains("arguments");
        if (arguments == nullptr || !arguments->is_object()) return;
        facts_.start->version = member(arguments->as_object(), "version");
        facts_.start->policy_path = member(arguments->as_object(), "policy");
    }

    LogFacts& facts_;
    std::string_view since_;
    bool has_lines_ = false;  // of the last run
};

}  // namespace

std::optional<bool> is_running(const std::string& state_directory) {
    struct stat info{};
    const std::string path = state_directory + "/audit.lock";
    if (::stat(path.c_str(), &info) != 0) return false;
    std::ifstream locks("/proc/locks");
    const std::string device = device_of(path);
    if (!locks || device.empty()) return std::nullopt;
    // THREAT: a local user locks a file of his own that has the same number, on a file system that he mounts in a namespace; or holds
    // so many locks that they are not read to the end.
    const std::string end = " " + device + ":" + std::to_string(info.st_ino) + " 0 EOF";
    for (std::string line; std::getline(locks, line);)
        if (line.ends_with(end) && line.find(" FLOCK  ADVISORY  WRITE ") != line.npos) return true;
    return locks.eof() ? std::optional(false) : std::nullopt;
}

std::optional<std::time_t> frozen_since(const std::string& state_directory) {
    const std::string path = state_directory + "/sallyport.frozen";
    const auto mark = small_file(path);
    const auto boot = small_file("/proc/sys/kernel/random/boot_id");
    struct stat info{};
    if (!mark || !boot || boot->empty() || *mark != *boot || ::stat(path.c_str(), &info) != 0)
        return std::nullopt;
    return info.st_mtime;
}

std::vector<UniqueFd> open_log(const std::string& state_directory) {
    std::vector<UniqueFd> files;
    for (int number = 0; number < kMaxFiles; ++number) {
        const std::string end = number == 0 ? "" : "." + std::to_string(number);
        auto file = open_to_read(state_directory + "/audit.jsonl" + end);
        if (!file) break;
        files.push_back(*std::move(file));
    }
    return files;
}

LogFacts read_log(const std::vector<UniqueFd>& files, std::string_view since) {
    LogFacts facts;
    Backwards reading(facts, since);
    for (const UniqueFd& file : files) {
        const std::string text = end_of(file, facts.is_whole);
        for (std::string_view left = text; !left.empty();) {
            if (left.ends_with('\n')) left.remove_suffix(1);
            const std::size_t begin = left.rfind('\n') + 1;
            if (!reading.take(left.substr(begin))) {
                facts.is_whole = true;
                return facts;
            }
            left = left.substr(0, begin);
        }
        if (!facts.is_whole) return facts;
    }
    return facts;
}

std::string timestamp(std::time_t time) {
    std::array<char, 32> text{};
    std::tm parts{};
    ::gmtime_r(&time, &parts);
    const std::size_t size = std::strftime(text.data(), text.size(), "%Y-%m-%dT%H:%M:%SZ", &parts);
    return {text.data(), size};
}

}  // namespace sallyport::policy::cli
