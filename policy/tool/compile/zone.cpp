#include "policy/tool/compile/zone.hpp"

#include <algorithm>
#include <charconv>
#include <chrono>

#include "ipc/limits.hpp"

namespace sallyport::policy::compile {

namespace {

constexpr std::size_t kHeader = 44;
constexpr std::size_t kMaxCount = 100'000;
constexpr std::int64_t kDaySeconds = 86'400;
constexpr int kLastYear = 2065;

struct Switch {
    std::int64_t at;
    std::int32_t offset;  // from then on
};

std::int64_t big_endian(std::string_view bytes) {
    std::uint64_t value = (static_cast<unsigned char>(bytes.front()) & 0x80U) != 0 ? ~std::uint64_t{0} : 0;
    for (const char c : bytes) value = value << 8U | static_cast<unsigned char>(c);
    return static_cast<std::int64_t>(value);
}

struct Counts {
    std::size_t utc, standard, leap, times, types, letters;
    [[nodiscard]] std::size_t size(std::size_t time_size) const {
        return times * (time_size + 1) + types * 6 + letters + leap * (time_size + 4) + standard + utc;
    }
};

std::optional<Counts> read_header(std::string_view bytes) {
    if (bytes.size() < kHeader || !bytes.starts_with("TZif") || bytes[4] < '2') return std::nullopt;
    const auto count = [&](std::size_t at) {
        return static_cast<std::size_t>(big_endian(bytes.substr(20 + 4 * at, 4)));
    };
    const Counts counts{count(0), count(1), count(2), count(3), count(4), count(5)};
    for (std::size_t at = 0; at < 6; ++at)
        if (count(at) > kMaxCount) return std::nullopt;
    return counts;
}

/// The rule for later years at the end of a file, as POSIX has it in TZ: "CET-1CEST,M3.5.0,M10.5.0/3".
class Rule {
public:
    static std::optional<Rule> parse(std::string_view text) {
        Rule rule;
        rule.text_ = text;
        if (!rule.read() || !rule.text_.empty()) return std::nullopt;
        return rule;
    }

    [[nodiscard]] std::int32_t standard() const { return standard_; }

    /// The switches of one year.
    void add(int year, std::vector<Switch>& to) const {
        if (!has_summer_) return;
        to.push_back({moment_of(begin_, year) - standard_, summer_});
        to.push_back({moment_of(end_, year) - summer_, standard_});
    }

private:
    struct Date {
        char kind = 'M';  // month, week and weekday; 'J': day without leap days, from 1; '0': day, from 0
        int month = 0, week = 0, day = 0;
        std::int32_t time = 7200;
    };

    bool skip(char c) {
        if (!text_.starts_with(c)) return false;
        text_.remove_prefix(1);
        return true;
    }

    bool number(int least, int most, int& to) {
        const auto [end, error] = std::from_chars(text_.data(), text_.data() + text_.size(), to);
        if (error != std::errc{} || to < least || to > most || text_.starts_with('-')) return false;
        text_.remove_prefix(static_cast<std::size_t>(end - text_.data()));
        return true;
    }

    bool name() {
        const bool is_quoted = skip('<');
        const std::size_t size = std::min(
            is_quoted ? text_.find('>')
                      : text_.find_first_not_of("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"),
            text_.size());
        text_.remove_prefix(size);
        return size >= 3 && (!is_quoted || skip('>'));
    }

    /// [+-]HH[:MM[:SS]]
    bool time(std::int32_t& to) {
        const bool is_negative = skip('-');
        if (!is_negative) skip('+');
        int hours = 0, minutes = 0, seconds = 0;
        if (!number(0, 167, hours)) return false;
        if (skip(':') && (!number(0, 59, minutes) || (skip(':') && !number(0, 59, seconds)))) return false;
        to = (hours * 60 + minutes) * 60 + seconds;
        if (is_negative) to = -to;
        return true;
    }

    bool date(Date& to) {
        if (skip('M')) {
            if (!number(1, 12, to.month) || !skip('.') || !number(1, 5, to.week) || !skip('.') ||
                !number(0, 6, to.day))
                return false;
        } else {
            to.kind = skip('J') ? 'J' : '0';
            if (!number(to.kind == 'J' ? 1 : 0, 365, to.day)) return false;
        }
        return !skip('/') || time(to.time);
    }

    bool read() {
        if (!name() || !time(standard_)) return false;
        standard_ = -standard_;
        if (text_.empty()) return true;
        has_summer_ = true;
        if (!name()) return false;
        summer_ = standard_ + 3600;
        if (!text_.starts_with(',')) {
            if (!time(summer_)) return false;
            summer_ = -summer_;
        }
        return skip(',') && date(begin_) && skip(',') && date(end_);
    }

    /// In the zone's own time.
    static std::int64_t moment_of(const Date& date, int year) {
        using namespace std::chrono;
        const std::chrono::year in{year};
        sys_days day = sys_days(in / January / 1) + days(date.day);
        if (date.kind == 'J') day -= days(in.is_leap() && date.day >= 60 ? 0 : 1);
        if (date.kind == 'M') {
            const weekday wanted(static_cast<unsigned>(date.day));
            const month of{static_cast<unsigned>(date.month)};
            day = date.week == 5 ? sys_days(in / of / wanted[last])
                                 : sys_days(in / of / wanted[static_cast<unsigned>(date.week)]);
        }
        return day.time_since_epoch().count() * kDaySeconds + date.time;
    }

    std::string_view text_;
    std::int32_t standard_ = 0, summer_ = 0;
    bool has_summer_ = false;
    Date begin_, end_;
};

int year_of(std::int64_t moment) {
    using namespace std::chrono;
    return int{year_month_day(floor<days>(sys_seconds(seconds(moment)))).year()};
}

/// What the file lists. Nothing if its parts do not fit together.
std::optional<std::vector<Switch>> read_switches(std::string_view block, const Counts& counts) {
    const std::string_view types = block.substr(counts.times * 9);
    std::vector<Switch> switches;
    const auto offset_of = [&](std::size_t type) {
        return static_cast<std::int32_t>(big_endian(types.substr(type * 6, 4)));
    };
    if (counts.types == 0 || counts.leap != 0) return std::nullopt;
    switches.push_back({INT64_MIN, offset_of(0)});
    for (std::size_t at = 0; at < counts.times; ++at) {
        const auto type = static_cast<unsigned char>(block[counts.times * 8 + at]);
        const std::int64_t moment = big_endian(block.substr(at * 8, 8));
        if (type >= counts.types || (at > 0 && moment <= switches.back().at)) return std::nullopt;
        switches.push_back({moment, offset_of(type)});
    }
    return switches;
}

/// Those of later years.
bool add_later(std::string_view footer, std::vector<Switch>& switches) {
    // Nobody asks for what comes after a list that goes so far.
    if (footer.empty() || switches.back().at >= kWhenEnd) return true;
    const auto rule = Rule::parse(footer);
    if (!rule) return false;
    const std::int64_t last = switches.size() == 1 ? kWhenStart - 366 * kDaySeconds : switches.back().at;
    std::vector<Switch> later;
    for (int year = year_of(std::max(last, kWhenStart - 366 * kDaySeconds)); year < kLastYear; ++year)
        rule->add(year, later);
    if (later.empty()) later.push_back({last + 1, rule->standard()});
    std::ranges::sort(later, {}, &Switch::at);
    std::ranges::copy_if(later, std::back_inserter(switches),
                         [last](const Switch& one) { return one.at > last; });
    return true;
}

}  // namespace

std::optional<Zone> parse_zone(std::string_view file) {
    const auto first = read_header(file);
    if (!first || file.size() < kHeader + first->size(4)) return std::nullopt;
    // The first block is the same with times of 32 bits.
    const std::string_view rest = file.substr(kHeader + first->size(4));
    const auto counts = read_header(rest);
    if (!counts || rest.size() < kHeader + counts->size(8) + 2) return std::nullopt;
    std::string_view footer = rest.substr(kHeader + counts->size(8));
    if (!footer.starts_with('\n') || !footer.ends_with('\n')) return std::nullopt;
    footer = footer.substr(1, footer.size() - 2);
    auto switches = read_switches(rest.substr(kHeader), *counts);
    if (!switches || !add_later(footer, *switches)) return std::nullopt;
    Zone zone;
    for (const Switch& one : *switches) {
        if (one.at <= kWhenStart) {
            zone.offsets.front() = one.offset;
        } else if (one.at < kWhenEnd && one.offset != zone.offsets.back()) {
            zone.switches.push_back(one.at);
            zone.offsets.push_back(one.offset);
        }
    }
    if (zone.switches.size() > kMaxSwitches) return std::nullopt;
    return zone;
}

bool is_zone_name(std::string_view name) {
    constexpr std::string_view kLetters =
        "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_+-/";
    return !name.empty() && name.size() <= 64 && name.front() != '/' &&
           name.find_first_not_of(kLetters) == name.npos;
}

}  // namespace sallyport::policy::compile
