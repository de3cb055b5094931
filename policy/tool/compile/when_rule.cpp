#include "policy/tool/compile/when_rule.hpp"

#include <algorithm>
#include <array>
#include <bitset>
#include <charconv>

#include "policy/tool/compile/suggest.hpp"

namespace sallyport::policy::compile {

namespace {

constexpr std::array<std::string_view, 3> kKeys{"days", "hours", "tz"};
constexpr std::array<std::string_view, 7> kDays{"mon", "tue", "wed", "thu", "fri", "sat", "sun"};
constexpr std::uint32_t kDay = 86'400;
constexpr std::uint32_t kWeek = 7 * kDay;
constexpr std::string_view kDaysForm =
    "'days' must be days or ranges of days, like \"mon-fri\" or \"mon,wed,sat-sun\"";
constexpr std::string_view kHoursForm =
    "'hours' must be two times of a day, like \"08:00-17:30\"; \"22:00-05:00\" ends on the next day";

using Days = std::bitset<7>;

/// Seconds of a day.
struct Hours {
    std::uint32_t from = 0;
    std::uint32_t to = kDay;  // beyond kDay: on the next day
};

std::vector<std::string_view> split(std::string_view text, char by) {
    std::vector<std::string_view> parts;
    for (;;) {
        const std::size_t end = text.find(by);
        parts.push_back(text.substr(0, end));
        if (end == text.npos) return parts;
        text.remove_prefix(end + 1);
    }
}

std::optional<std::size_t> day_named(Reader& reader, std::string_view word, Place place) {
    const auto found = std::ranges::find(kDays, word);
    if (found != kDays.end()) return static_cast<std::size_t>(found - kDays.begin());
    if (word.empty())
        reader.problem(place, kDaysForm);
    else
        reader.problem(place, "unknown day " + quoted(word) + did_you_mean(word, kDays));
    return std::nullopt;
}

std::optional<Days> read_days(Reader& reader, const toml::table& when) {
    const auto text = reader.text(when, "days");
    if (!text) return when.contains("days") ? std::nullopt : std::optional(Days().set());
    const Place place = place_of(*when.get("days"));
    Days days;
    for (const std::string_view part : split(*text, ',')) {
        const auto ends = split(part, '-');
        if (ends.size() > 2) return reader.problem(place, kDaysForm), std::nullopt;
        const auto first = day_named(reader, ends.front(), place);
        const auto last = ends.size() == 2 ? day_named(reader, ends.back(), place) : first;
        if (!first || !last) return std::nullopt;
        for (std::size_t day = *first;; day = (day + 1) % 7) {
            days.set(day);
            if (day == *last) break;
        }
    }
    return days;
}

/// "05:00", at most "24:00".
std::optional<std::uint32_t> time_of(std::string_view text) {
    std::uint32_t hours = 0, minutes = 0;
    const auto number = [](std::string_view digits, std::uint32_t& to) {
        const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), to);
        return error == std::errc{} && end == digits.data() + digits.size();
    };
    if (text.size() != 5 || text[2] != ':' || !number(text.substr(0, 2), hours) ||
        !number(text.substr(3), minutes) || minutes > 59 || hours * 60 + minutes > 24 * 60)
        return std::nullopt;
    return (hours * 60 + minutes) * 60;
}

std::optional<Hours> read_hours(Reader& reader, const toml::table& when) {
    const auto text = reader.text(when, "hours");
    if (!text) return when.contains("hours") ? std::nullopt : std::optional(Hours());
    const auto ends = split(*text, '-');
    const auto from = time_of(ends.front());
    const auto to = ends.size() == 2 ? time_of(ends.back()) : std::nullopt;
    if (!from || !to || *from == *to || *from == kDay) {
        reader.problem(place_of(*when.get("hours")), kHoursForm);
        return std::nullopt;
    }
    return Hours{.from = *from, .to = *from < *to ? *to : *to + kDay};
}

std::optional<Zone> read_zone(Reader& reader, const ReadZone& zones, const toml::table& when) {
    if (!when.contains("tz"))
        return reader.problem(place_of(when), "'when' needs 'tz', like \"Europe/Berlin\" or \"UTC\""),
               std::nullopt;
    const auto name = reader.text(when, "tz");
    if (!name) return std::nullopt;
    if (*name == "UTC") return Zone();
    const auto file = is_zone_name(*name) && zones ? zones(std::string(*name)) : std::nullopt;
    auto zone = file ? parse_zone(*file) : std::nullopt;
    if (zone) return zone;
    // The names are a column of a list that lies beside the files.
    const std::string list = zones ? zones("tzdata.zi").value_or("") : "";
    std::vector<std::string_view> known{"UTC"};
    for (const std::string_view line : split(list, '\n')) {
        const auto words = split(line, ' ');
        if (words.size() > 2 && words[0] == "Z") known.push_back(words[1]);
        if (words.size() > 2 && words[0] == "L") known.push_back(words[2]);
    }
    std::string hint = did_you_mean(*name, known);
    if (known.size() == 1 && is_zone_name(*name))
        hint = "; there is no /usr/share/zoneinfo/" + std::string(*name) + " that only root can change";
    reader.problem(place_of(*when.get("tz")),
                   file ? quoted(*name) + " is no time zone: its file cannot be understood"
                        : "unknown time zone " + quoted(*name) + hint);
    return std::nullopt;
}

void add_spans(Days days, Hours hours, ipc::When& to) {
    std::vector<std::pair<std::uint32_t, std::uint32_t>> spans;
    for (std::uint32_t day = 0; day < 7; ++day) {
        if (!days.test(day)) continue;
        const std::uint32_t from = day * kDay + hours.from, end = day * kDay + hours.to;
        spans.emplace_back(from, std::min(end, kWeek));
        if (end > kWeek) spans.emplace_back(0, end - kWeek);
    }
    std::ranges::sort(spans);
    ipc::When::Span* last = nullptr;
    for (const auto& [from, end] : spans) {
        if (last == nullptr || from > last->to()) {
            last = to.add_spans();
            last->set_from(from);
        }
        last->set_to(std::max(last->to(), end));
    }
}

std::string text_of(const toml::table& when) {
    std::string text;
    for (const std::string_view key : kKeys)
        if (const auto* word = when.get_as<std::string>(key))
            text += (text.empty() ? "{ " : ", ") + std::string(key) + " = \"" + word->get() + "\"";
    return text + " }";
}

}  // namespace

void read_when(Reader& reader, const ReadZone& zones, const toml::table& rule, compiled::Rule& to) {
    const toml::table* when = reader.table(rule, "when");
    if (when == nullptr) return;
    reader.only_keys(*when, kKeys, "'when'");
    if (!when->contains("days") && !when->contains("hours"))
        reader.problem(place_of(*when), "'when' needs 'days' or 'hours'");
    const auto days = read_days(reader, *when);
    const auto hours = read_hours(reader, *when);
    const auto zone = read_zone(reader, zones, *when);
    if (!days || !hours || !zone) return;
    ipc::When& made = *to.mutable_when();
    add_spans(*days, *hours, made);
    for (const std::int64_t moment : zone->switches) made.add_switches(moment);
    for (const std::int32_t offset : zone->offsets) made.add_offsets(offset);
    made.set_text(text_of(*when));
}

}  // namespace sallyport::policy::compile
