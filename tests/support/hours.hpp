// Hours of the week that lie around a test's own time, or beside it.
#pragma once

#include <array>
#include <cstdint>
#include <cstdio>
#include <ctime>
#include <string>

#include "ipc/times.pb.h"

namespace sallyport::test {

/// From so many seconds after `now` on, up to so many: every week, in UTC.
inline ipc::When hours_from(std::int64_t now, std::int64_t from_s, std::int64_t to_s) {
    constexpr std::int64_t kDay = 86'400;
    constexpr std::int64_t kWeek = 7 * kDay;
    const auto second_of_week = [](std::int64_t time) {
        return static_cast<std::uint32_t>((time + 3 * kDay) % kWeek);  // 1970 began on a Thursday
    };
    const std::uint32_t from = second_of_week(now + from_s);
    const std::uint32_t to = second_of_week(now + to_s);
    ipc::When when;
    when.add_offsets(0);
    const auto add = [&when](std::uint32_t first, std::uint32_t end) {
        if (first == end) return;
        when.add_spans()->set_from(first);
        when.mutable_spans(when.spans_size() - 1)->set_to(end);
    };
    if (from < to) {
        add(from, to);
    } else {
        add(0, to);
        add(from, kWeek);
    }
    return when;
}

/// The same of every day, as a policy says it; in whole minutes.
inline std::string when_from(std::time_t now, std::time_t from_s, std::time_t to_s) {
    std::array<char, 64> text{};
    const std::time_t from = now + from_s;
    const std::time_t to = now + to_s;
    const std::tm begin = *std::gmtime(&from);
    const std::tm end = *std::gmtime(&to);
    std::snprintf(text.data(), text.size(), "{ hours = \"%02d:%02d-%02d:%02d\", tz = \"UTC\" }",
                  begin.tm_hour, begin.tm_min, end.tm_hour, end.tm_min);
    return text.data();
}

}  // namespace sallyport::test
