#include "policy/tool/verbs/logs.hpp"

#include <sys/resource.h>

#include <charconv>
#include <ctime>
#include <utility>

#include "policy/tool/analyse/feature.hpp"
#include "policy/tool/compile/problems.hpp"
#include "policy/tool/verbs/files.hpp"
#include "policy/tool/verbs/verb.hpp"

namespace sallyport::policy::cli {

namespace {

// A fleet's logs are more files than a process may open at first.
void raise_file_limit() {
    rlimit limit{};
    if (::getrlimit(RLIMIT_NOFILE, &limit) != 0) return;
    limit.rlim_cur = limit.rlim_max;
    ::setrlimit(RLIMIT_NOFILE, &limit);
}

}  // namespace

std::string since_of(const std::string& text) {
    constexpr std::size_t kSeconds = 19;  // 2026-11-30T21:11:11
    if (const auto time = analyse::read_time(text)) return analyse::show_time(*time).substr(0, kSeconds);
    WallTime number = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
    const std::string_view unit(end, static_cast<std::size_t>(text.data() + text.size() - end));
    const WallTime seconds = unit == "d" ? 86400 : unit == "h" ? 3600 : 0;
    constexpr WallTime kMost = 100'000;
    if (error != std::errc{} || seconds == 0 || number < 0 || number > kMost) return {};
    return analyse::show_time(std::time(nullptr) - number * seconds).substr(0, kSeconds);
}

std::optional<OpenLogs> open_logs(const std::vector<std::string>& logs,
                                  const std::vector<std::string>& policies) {
    raise_file_limit();
    auto files = read_confined(policies, logs);
    if (!files) return std::nullopt;
    std::vector<log::Source> sources;
    for (std::size_t at = 0; at < logs.size(); ++at)
        sources.push_back({.name = logs[at], .file = std::move(files->others[at])});
    return OpenLogs{.files = *std::move(files), .logs = log::Logs(std::move(sources))};
}

bool tell_reading(const log::Reading& reading) {
    if (!reading.fault.empty())
        complain("sallyport-policy: " + compile::printable(reading.fault, 1024) + "\n");
    const std::uint64_t bad = reading.damaged + reading.too_long;
    if (bad == 0) return reading.fault.empty();
    std::string text = std::to_string(bad) + " of " + std::to_string(reading.lines) +
                       " lines are no records and are left out:\n";
    for (const std::string& example : reading.examples)
        text += "  " + compile::printable(example, 1024) + "\n";
    if (bad > reading.examples.size())
        text += "  and " + std::to_string(bad - reading.examples.size()) + " more\n";
    complain(text);
    return reading.fault.empty();
}

}  // namespace sallyport::policy::cli
