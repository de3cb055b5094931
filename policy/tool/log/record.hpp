// A line of the audit log as its members.
// Runs in:  the policy tool, after lockdown_compiler()
// Input:    a log that anybody may have changed, with values that a host has chosen
//
// The log is JSON of one form: an object of texts, numbers, and objects of these, each byte that is no printable ASCII as \u00XX. What
// is looked for is found in one pass, without copies; members that are not known are passed over, so that older tools read newer logs.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "policy/decide.hpp"

namespace sallyport::policy::log {

/// Texts are as they stand in the line, between the quotes. They point into it.
struct Record {
    std::string_view time;
    std::string_view run;
    std::string_view verdict;
    std::string_view what;
    std::string_view rule;
    std::string_view reason;
    std::string_view policy;
    std::string_view would;       // the verdict if the rules that dry-run counted, where it is another
    std::string_view would_rule;  // the rule by which
    std::string_view arguments;   // an object; empty if there are none
    std::string_view unwritten;   // the same
    std::uint64_t seq = 0;
    std::uint64_t boottime_us = 0;
    std::uint64_t lost = 0;
    std::int64_t bytes = -1;    // -1: not said
    bool is_shortened = false;  // the arguments were too long
};

/// Reads a line. False if it is damaged: no object, or cut off.
bool read_record(std::string_view line, Record& record);

/// A member of an object that a line holds.
struct Member {
    std::string_view name;
    std::string_view value;  // a text without its quotes, else as it stands
    bool is_text = false;
};

/// The members of an object that was found by read_record().
std::vector<Member> members_of(std::string_view object);
/// A text, with its bytes as the agent had them; empty if there is none.
std::string text_of(const std::vector<Member>& members, std::string_view name);
/// A number; nothing if there is none of that name, or it is none.
std::optional<std::int64_t> number_of(const std::vector<Member>& members, std::string_view name);

/// The bytes that a text of the log stands for.
std::string unescaped(std::string_view text);

/// The seconds since 1970 of "2026-11-30T21:11:11.123456Z"; nothing if it is no such text.
std::optional<WallTime> seconds_of(std::string_view time);

}  // namespace sallyport::policy::log
