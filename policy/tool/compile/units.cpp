#include "policy/tool/compile/units.hpp"

#include <algorithm>
#include <array>
#include <charconv>
#include <chrono>
#include <limits>
#include <system_error>

namespace sallyport::policy::compile {

namespace {

struct TimeUnit {
    std::string_view name;
    std::uint32_t ms;
};
constexpr std::array kTimeUnits{TimeUnit{"ms", 1}, TimeUnit{"s", 1000}, TimeUnit{"m", 60'000},
                                TimeUnit{"h", 3'600'000}};

struct Unit {
    std::string_view name;
    unsigned shift;
};
constexpr std::array kUnits{Unit{"B", 0}, Unit{"KiB", 10}, Unit{"MiB", 20}, Unit{"GiB", 30}, Unit{"TiB", 40}};

template <typename Number>
std::optional<Number> parse_number(std::string_view text, int base) {
    Number number = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number, base);
    if (error != std::errc{} || end != text.data() + text.size()) return std::nullopt;
    return number;
}

char upper(char c) {
    return c >= 'a' && c <= 'z' ? static_cast<char>(c - 'a' + 'A') : c;
}

}  // namespace

std::optional<std::uint64_t> parse_size(std::string_view text) {
    const std::size_t digits = text.find_first_not_of("0123456789");
    if (digits == text.npos) return std::nullopt;
    const auto count = parse_number<std::uint64_t>(text.substr(0, digits), 10);
    for (const Unit& unit : kUnits) {
        if (text.substr(digits) != unit.name) continue;
        if (!count || *count == 0 || *count > std::numeric_limits<std::uint64_t>::max() >> unit.shift)
            return std::nullopt;
        return *count << unit.shift;
    }
    return std::nullopt;
}

std::string size_text(std::uint64_t size) {
    const Unit* largest = kUnits.data();
    for (const Unit& unit : kUnits)
        if (size >> unit.shift << unit.shift == size && size != 0) largest = &unit;
    return std::to_string(size >> largest->shift) + std::string(largest->name);
}

std::optional<std::uint32_t> parse_duration_ms(std::string_view text) {
    const std::size_t digits = text.find_first_not_of("0123456789");
    if (digits == text.npos) return std::nullopt;
    const auto count = parse_number<std::uint32_t>(text.substr(0, digits), 10);
    for (const TimeUnit& unit : kTimeUnits)
        if (text.substr(digits) == unit.name && count && *count > 0 &&
            *count <= std::numeric_limits<std::uint32_t>::max() / unit.ms)
            return *count * unit.ms;
    return std::nullopt;
}

std::optional<std::string> suggest_size(std::string_view text) {
    const std::size_t digits = std::min(text.find_first_not_of("0123456789"), text.size());
    const std::size_t letters = text.find_first_not_of(' ', digits);
    const char letter = letters == text.npos ? 'B' : upper(text[letters]);
    for (const Unit& unit : kUnits) {
        std::string meant(text.substr(0, digits));
        meant += unit.name;
        if (unit.name.front() == letter && parse_size(meant)) return meant;
    }
    return std::nullopt;
}

std::optional<std::uint32_t> parse_mode(std::string_view text) {
    if (text.size() < 3 || text.size() > 4) return std::nullopt;
    const auto mode = parse_number<std::uint32_t>(text, 8);
    if (!mode || *mode > 0777) return std::nullopt;
    return mode;
}

std::optional<std::int64_t> to_unix_time(const toml::date_time& time) {
    if (!time.offset) return std::nullopt;
    const std::chrono::year_month_day date{std::chrono::year(time.date.year),
                                           std::chrono::month(time.date.month),
                                           std::chrono::day(time.date.day)};
    if (!date.ok()) return std::nullopt;
    const std::chrono::seconds moment = std::chrono::sys_days(date).time_since_epoch() +
                                        std::chrono::hours(time.time.hour) +
                                        std::chrono::minutes(time.time.minute - time.offset->minutes) +
                                        std::chrono::seconds(time.time.second);
    if (moment.count() <= 0) return std::nullopt;
    return moment.count();
}

}  // namespace sallyport::policy::compile
