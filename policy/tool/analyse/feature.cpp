#include "policy/tool/analyse/feature.hpp"

#include <algorithm>
#include <array>
#include <charconv>
#include <chrono>
#include <cstdio>
#include <set>

#include "ipc/limits.hpp"

namespace sallyport::policy::analyse {

namespace {

struct SizeUnit {
    std::string_view word;
    unsigned shift;
};
constexpr std::array kSizeUnits{SizeUnit{"", 0},     SizeUnit{"B", 0},    SizeUnit{"KiB", 10},
                                SizeUnit{"MiB", 20}, SizeUnit{"GiB", 30}, SizeUnit{"TiB", 40}};

constexpr Mode kModes[] = {Mode::kHalt, Mode::kPowerdown, Mode::kReboot};
constexpr std::array<std::string_view, 4> kModeWords{"", "halt", "powerdown", "reboot"};

void split_shutdown(const Alive&, Request& request, const Visit& visit) {
    for (const Mode mode : kModes) {
        request.shutdown = mode;
        visit();
    }
}

// A deny rule without modes is about each of them.
bool meets_shutdown(const Clause& clause, const Request& request) {
    return clause.of->modes.test(static_cast<std::size_t>(request.shutdown)) ||
           (!clause.allows() && clause.of->modes.none());
}

bool limits_shutdown(const Clause& clause) {
    return clause.allows() ? clause.of->modes.count() < 3 : clause.of->modes.any();
}

void loosen_shutdown(Rule& rule, std::size_t) {
    rule.modes.reset();
    if (rule.effect == Effect::kAllow)
        for (const Mode mode : kModes) rule.modes.set(static_cast<std::size_t>(mode));
}

std::string show_shutdown(const Request& request) {
    return std::string(kModeWords[static_cast<std::size_t>(request.shutdown)]);
}

bool read_shutdown(Request& request, const std::string& word) {
    const auto found = std::ranges::find(kModeWords, word);
    if (word.empty() || found == kModeWords.end()) return false;
    request.shutdown = static_cast<Mode>(found - kModeWords.begin());
    return true;
}

constexpr WallTime kWeek = 7 * 86'400;
constexpr WallTime kThursday = 3 * 86'400;  // 1970 began on one

std::int32_t offset_at(const ipc::When& when, WallTime now) {
    const auto past = std::ranges::upper_bound(when.switches(), now) - when.switches().begin();
    return when.offsets(static_cast<int>(past));
}

/// Those that differ.
std::vector<const ipc::When*> whens_of(const Alive& alive) {
    std::vector<const ipc::When*> whens;
    std::set<std::string> seen;
    for (const Clause* clause : alive)
        if (clause->of->when && seen.insert(clause->of->when->SerializeAsString()).second)
            whens.push_back(&*clause->of->when);
    return whens;
}

/// What tells the weeks of two times apart.
std::vector<std::int64_t> state_at(const Alive& alive, const std::vector<const ipc::When*>& whens,
                                   WallTime now) {
    std::vector<std::int64_t> state{now >= kWhenEnd ? 1 : 0};
    for (const ipc::When* when : whens) state.push_back(offset_at(*when, now));
    std::int64_t expired = 0;
    for (const Clause* clause : alive)
        if (clause->of->expires && *clause->of->expires <= now)
            expired = std::max(expired, *clause->of->expires);
    state.push_back(expired);
    return state;
}

/// Where hours begin or end from `from` to `end`, within a week in which no clock is set.
void add_edges(const std::vector<const ipc::When*>& whens, WallTime from, WallTime end,
               std::set<WallTime>& to) {
    if (from >= kWhenEnd) return;
    for (const ipc::When* when : whens) {
        const WallTime second = (from + offset_at(*when, from) + kThursday) % kWeek;
        for (const ipc::When::Span& span : when->spans())
            for (const std::uint32_t edge : {span.from(), span.to()}) {
                const WallTime at = from + (WallTime{edge} - second + 2 * kWeek) % kWeek;
                if (at < end) to.insert(at);
            }
    }
}

// clang-format off
constexpr std::array kShutdownFeatures{
    //      name    key      subject             split           meets           limits           loosen           show           read
    Feature{"mode", "modes", Subject::kShutdown, split_shutdown, meets_shutdown, limits_shutdown, loosen_shutdown, show_shutdown, read_shutdown},
    when_feature(Subject::kShutdown), time_feature(Subject::kShutdown),
};
constexpr std::array kPlainFeatures{when_feature(Subject::kPlain), time_feature(Subject::kPlain)};
// clang-format on

}  // namespace

std::span<const Feature> shutdown_features() {
    return kShutdownFeatures;
}

std::span<const Feature> plain_features() {
    return kPlainFeatures;
}

std::span<const Feature> features_of(Subject subject) {
    switch (subject) {
        case Subject::kFiles:
            return file_features();
        case Subject::kShutdown:
            return shutdown_features();
        case Subject::kExec:
            return exec_features();
        case Subject::kFreeze:
            return mount_features();
        case Subject::kInspect:
            return reply_features();
        case Subject::kAccounts:
            return account_features();
        case Subject::kClock:
            return clock_features();
        case Subject::kProcessors:
            return processor_features();
        case Subject::kBlocks:
            return block_features();
        case Subject::kPlain:
            return plain_features();
    }
    check_failed();
}

bool meets(const Clause& clause, const Request& request) {
    return std::ranges::all_of(features_of(subject_of(request.command)), [&](const Feature& feature) {
        return feature.split == nullptr || feature.meets(clause, request);
    });
}

std::string show_flag(bool value) {
    return value ? "yes" : "";
}

bool read_flag(bool& to, const std::string& word) {
    to = word == "yes";
    return word == "yes" || word == "no";
}

std::optional<std::uint64_t> read_size(const std::string& word) {
    std::uint64_t number = 0;
    const char* const end = word.data() + word.size();
    const auto [stopped, error] = std::from_chars(word.data(), end, number);
    if (error != std::errc{}) return std::nullopt;
    const auto unit = std::ranges::find(kSizeUnits, std::string_view(stopped, end), &SizeUnit::word);
    if (unit == kSizeUnits.end() || number > UINT64_MAX >> unit->shift) return std::nullopt;
    return number << unit->shift;
}

std::string show_time(WallTime time) {
    using namespace std::chrono;
    const sys_seconds moment{seconds{time}};
    const auto day = floor<days>(moment);
    const year_month_day date(day);
    const hh_mm_ss clock(moment - day);
    std::array<char, 80> text{};
    std::snprintf(text.data(), text.size(), "%04d-%02u-%02uT%02d:%02d:%02dZ", int{date.year()},
                  unsigned{date.month()}, unsigned{date.day()}, static_cast<int>(clock.hours().count()),
                  static_cast<int>(clock.minutes().count()), static_cast<int>(clock.seconds().count()));
    return text.data();
}

std::optional<WallTime> read_time(const std::string& word) {
    using namespace std::chrono;
    int y = 0, h = 0, min = 0, s = 0, used = 0;
    unsigned m = 0, d = 0;
    if (std::sscanf(word.c_str(), "%4d-%2u-%2uT%2d:%2d:%2d%n", &y, &m, &d, &h, &min, &s, &used) != 6)
        return std::nullopt;
    const year_month_day date{year{y}, month{m}, day{d}};
    // The audit log has microseconds.
    std::string_view rest = std::string_view(word).substr(static_cast<std::size_t>(used));
    if (rest.starts_with('.'))
        rest.remove_prefix(std::min(rest.find_first_not_of("0123456789", 1), rest.size()));
    if (!date.ok() || rest != "Z" || h > 23 || min > 59 || s > 60) return std::nullopt;
    return (sys_days{date} + hours{h} + minutes{min} + seconds{s}).time_since_epoch().count();
}

// Nothing before the time that the request has already is looked at. From one break to the next, where a rule expires or the clocks of
// a zone are set, what counts is the same in every week.
void split_time(const Alive& alive, Request& request, const Visit& visit) {
    const std::vector<const ipc::When*> whens = whens_of(alive);
    std::set<WallTime> breaks{request.time};
    for (const Clause* clause : alive)
        if (clause->of->expires) breaks.insert(*clause->of->expires);
    for (const ipc::When* when : whens) breaks.insert(when->switches().begin(), when->switches().end());
    if (!whens.empty()) breaks.insert(kWhenEnd);
    breaks.erase(breaks.begin(), breaks.find(request.time));
    std::set<WallTime> moments;
    std::set<std::vector<std::int64_t>> seen;
    for (auto at = breaks.begin(); at != breaks.end(); ++at) {
        const WallTime end = std::next(at) == breaks.end() ? INT64_MAX : *std::next(at);
        const bool is_whole = end - *at >= kWeek;
        if (is_whole && !seen.insert(state_at(alive, whens, *at)).second) continue;
        moments.insert(*at);
        add_edges(whens, *at, is_whole ? *at + kWeek : end, moments);
    }
    for (const WallTime moment : moments) {
        request.time = moment;
        visit();
    }
}

bool meets_time(const Clause& clause, const Request& request) {
    return !clause.of->expires || request.time < *clause.of->expires;
}

bool meets_when(const Clause& clause, const Request& request) {
    const auto counts = clause.allows() ? ipc::Counts::kToAllow : ipc::Counts::kToDeny;
    return !clause.of->when || ipc::is_within(*clause.of->when, request.time, counts);
}

bool limits_when(const Clause& clause) {
    return clause.of->when.has_value();
}

void loosen_when(Rule& rule, std::size_t) {
    rule.when.reset();
}

std::string show_nothing(const Request&) {
    return "";
}

bool limits_time(const Clause& clause) {
    return clause.of->expires.has_value();
}

void loosen_time(Rule& rule, std::size_t) {
    rule.expires.reset();
}

std::string show_time_of(const Request& request) {
    return show_time(request.time);
}

bool read_time_of(Request& request, const std::string& word) {
    const auto time = read_time(word);
    if (time) request.time = *time;
    return time.has_value();
}

}  // namespace sallyport::policy::analyse
