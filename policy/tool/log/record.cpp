#include "policy/tool/log/record.hpp"

#include <array>
#include <charconv>
#include <chrono>

namespace sallyport::policy::log {

namespace {

constexpr int kDeepest = 8;  // an object in an object in ...

// Bytes that end a run of plain ones in a text.
constexpr std::array<bool, 256> stops() {
    std::array<bool, 256> table{};
    for (std::size_t byte = 0; byte < 0x20; ++byte) table[byte] = true;
    table['"'] = table['\\'] = true;
    return table;
}
constexpr auto kStops = stops();

/// What is left of a line, from the beginning on. Each function says whether it found what it looks for.
class Cursor {
public:
    explicit Cursor(std::string_view text) : at_(text.data()), end_(text.data() + text.size()) {}

    bool take(char wanted) {
        if (at_ == end_ || *at_ != wanted) return false;
        ++at_;
        return true;
    }

    bool text(std::string_view& found) {
        if (!take('"')) return false;
        const char* const begin = at_;
        for (;;) {
            while (at_ != end_ && !kStops[static_cast<unsigned char>(*at_)]) ++at_;
            if (at_ == end_ || static_cast<unsigned char>(*at_) < 0x20) return false;
            if (*at_ == '"') break;
            if (end_ - at_ < 2) return false;
            at_ += 2;
        }
        found = {begin, static_cast<std::size_t>(at_ - begin)};
        ++at_;
        return true;
    }

    /// A number, or a word such as `true`.
    bool word(std::string_view& found) {
        const char* const begin = at_;
        while (at_ != end_ && *at_ != ',' && *at_ != '}' && *at_ != ']' && *at_ != '"' && *at_ != '{' &&
               *at_ != '[')
            ++at_;
        found = {begin, static_cast<std::size_t>(at_ - begin)};
        return !found.empty();
    }

    bool value(Member& member, int depth) {
        if (at_ == end_ || depth > kDeepest) return false;
        member.is_text = *at_ == '"';
        if (member.is_text) return text(member.value);
        if (*at_ != '{' && *at_ != '[') return word(member.value);
        const char* const begin = at_;
        const bool is_good = *at_ == '{' ? object([](const Member&) {}, depth + 1) : list(depth + 1);
        member.value = {begin, static_cast<std::size_t>(at_ - begin)};
        return is_good;
    }

    bool object(const auto& visit, int depth) {
        if (!take('{')) return false;
        if (take('}')) return true;
        do {
            Member member;
            if (!text(member.name) || !take(':') || !value(member, depth)) return false;
            visit(member);
        } while (take(','));
        return take('}');
    }

    [[nodiscard]] bool is_at_end() const { return at_ == end_; }

private:
    bool list(int depth) {
        if (!take('[')) return false;
        if (take(']')) return true;
        Member member;
        do
            if (!value(member, depth)) return false;
        while (take(','));
        return take(']');
    }

    const char* at_;
    const char* end_;
};

template <typename Number>
std::optional<Number> read_number(std::string_view text) {
    Number number{};
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
    if (error != std::errc{} || end != text.data() + text.size()) return std::nullopt;
    return number;
}

void take_number(std::uint64_t& to, const Member& member) {
    to = read_number<std::uint64_t>(member.value).value_or(0);
}

using Text = std::string_view Record::*;
struct Named {
    std::string_view name;
    Text to;
};
constexpr std::array kTexts{Named{"time", &Record::time},
                            Named{"run", &Record::run},
                            Named{"verdict", &Record::verdict},
                            Named{"what", &Record::what},
                            Named{"rule", &Record::rule},
                            Named{"reason", &Record::reason},
                            Named{"policy", &Record::policy},
                            Named{"would", &Record::would},
                            Named{"would_rule", &Record::would_rule}};

void take_member(Record& record, const Member& member) {
    if (member.is_text) {
        for (const Named& one : kTexts)
            if (one.name == member.name) record.*one.to = member.value;
        if (member.name == "shortened") record.is_shortened = true;
        return;
    }
    const bool is_object = member.value.starts_with('{');
    if (member.name == "seq") take_number(record.seq, member);
    if (member.name == "boottime_us") take_number(record.boottime_us, member);
    if (member.name == "lost") take_number(record.lost, member);
    if (member.name == "bytes") record.bytes = read_number<std::int64_t>(member.value).value_or(-1);
    if (member.name == "arguments" && is_object) record.arguments = member.value;
    if (member.name == "unwritten" && is_object) record.unwritten = member.value;
}

int digit_of(char c) {
    if (c >= '0' && c <= '9') return c - '0';
    if (c >= 'a' && c <= 'f') return c - 'a' + 10;
    return -1;
}

}  // namespace

bool read_record(std::string_view line, Record& record) {
    record = {};
    Cursor cursor(line);
    return cursor.object([&](const Member& member) { take_member(record, member); }, 0) && cursor.is_at_end();
}

std::vector<Member> members_of(std::string_view object) {
    std::vector<Member> members;
    members.reserve(4);
    Cursor(object).object([&](const Member& member) { members.push_back(member); }, 0);
    return members;
}

std::string text_of(const std::vector<Member>& members, std::string_view name) {
    for (const Member& member : members)
        if (member.is_text && member.name == name) return unescaped(member.value);
    return {};
}

std::optional<std::int64_t> number_of(const std::vector<Member>& members, std::string_view name) {
    for (const Member& member : members)
        if (!member.is_text && member.name == name) return read_number<std::int64_t>(member.value);
    return std::nullopt;
}

std::string unescaped(std::string_view text) {
    std::string bytes;
    bytes.reserve(text.size());
    for (std::size_t at = 0; at < text.size(); ++at) {
        if (text[at] != '\\' || at + 1 == text.size()) {
            bytes += text[at];
            continue;
        }
        const bool is_byte = text.substr(at).starts_with("\\u00") && at + 5 < text.size() &&
                             digit_of(text[at + 4]) >= 0 && digit_of(text[at + 5]) >= 0;
        if (!is_byte) {
            bytes += text[++at];
            continue;
        }
        bytes += static_cast<char>(digit_of(text[at + 4]) * 16 + digit_of(text[at + 5]));
        at += 5;
    }
    return bytes;
}

std::optional<WallTime> seconds_of(std::string_view time) {
    constexpr std::string_view kForm = "0000-00-00T00:00:00";
    if (time.size() < kForm.size() || !time.ends_with('Z')) return std::nullopt;
    for (std::size_t at = 0; at < kForm.size(); ++at) {
        const bool is_digit = time[at] >= '0' && time[at] <= '9';
        if (is_digit != (kForm[at] == '0') || (!is_digit && time[at] != kForm[at])) return std::nullopt;
    }
    const auto part = [&](std::size_t from, std::size_t count) {
        int number = 0;
        for (std::size_t at = from; at < from + count; ++at) number = number * 10 + (time[at] - '0');
        return number;
    };
    const std::chrono::year_month_day date{std::chrono::year(part(0, 4)),
                                           std::chrono::month(static_cast<unsigned>(part(5, 2))),
                                           std::chrono::day(static_cast<unsigned>(part(8, 2)))};
    if (!date.ok()) return std::nullopt;
    const WallTime day = std::chrono::sys_days(date).time_since_epoch().count();
    return day * 86400 + part(11, 2) * 3600 + part(14, 2) * 60 + part(17, 2);
}

}  // namespace sallyport::policy::log
