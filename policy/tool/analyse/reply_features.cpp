// What a rule's `reply` table looks at: one thing in a reply, and one member of it.
#include <algorithm>
#include <array>
#include <set>

#include "policy/tool/analyse/feature.hpp"

namespace sallyport::policy::analyse {

namespace {

using Is = ipc::ReplyFilter;
using Texts = google::protobuf::RepeatedPtrField<std::string>;

struct MemberWord {
    std::string_view word;
    int member;
    std::array<CommandId, 3> commands;  // that have it; one that stands twice counts once
};

constexpr CommandId kInterfaces = CommandId::kNetworkGetInterfaces;
constexpr CommandId kFsinfo = CommandId::kGetFsinfo;
constexpr CommandId kDisks = CommandId::kGetDisks;
constexpr CommandId kOs = CommandId::kGetOsinfo;

// clang-format off
constexpr std::array kMembers{
    //         word                      member                      in the replies to
    MemberWord{"hardware-address",       Is::HARDWARE_ADDRESS,       {kInterfaces, kInterfaces, kInterfaces}},
    MemberWord{"ip-addresses",           Is::IP_ADDRESSES,           {kInterfaces, kInterfaces, kInterfaces}},
    MemberWord{"statistics",             Is::STATISTICS,             {kInterfaces, kInterfaces, kInterfaces}},
    MemberWord{"serial",                 Is::SERIAL,                 {kFsinfo, kDisks, kDisks}},
    MemberWord{"dev",                    Is::DEV,                    {kFsinfo, kDisks, kDisks}},
    MemberWord{"alias",                  Is::ALIAS,                  {kDisks, kDisks, kDisks}},
    MemberWord{"address",                Is::ADDRESS,                {kDisks, kDisks, kDisks}},
    MemberWord{"used-bytes",             Is::USED_BYTES,             {kFsinfo, kFsinfo, kFsinfo}},
    MemberWord{"total-bytes",            Is::TOTAL_BYTES,            {kFsinfo, kFsinfo, kFsinfo}},
    MemberWord{"total-bytes-privileged", Is::TOTAL_BYTES_PRIVILEGED, {kFsinfo, kFsinfo, kFsinfo}},
    MemberWord{"zone",                   Is::ZONE,                   {CommandId::kGetTimezone, CommandId::kGetTimezone, CommandId::kGetTimezone}},
    MemberWord{"kernel-release",         Is::KERNEL_RELEASE,         {kOs, kOs, kOs}},
    MemberWord{"kernel-version",         Is::KERNEL_VERSION,         {kOs, kOs, kOs}},
    MemberWord{"machine",                Is::MACHINE,                {kOs, kOs, kOs}},
    MemberWord{"version",                Is::VERSION,                {kOs, kOs, kOs}},
    MemberWord{"version-id",             Is::VERSION_ID,             {kOs, kOs, kOs}},
    MemberWord{"variant",                Is::VARIANT,                {kOs, kOs, kOs}},
    MemberWord{"variant-id",             Is::VARIANT_ID,             {kOs, kOs, kOs}},
    MemberWord{"pretty-name",            Is::PRETTY_NAME,            {kOs, kOs, kOs}},
};
// clang-format on
static_assert(kMembers.size() == Is::Member_MAX, "a row for each member that a rule can leave out");

bool is_in(const MemberWord& row, CommandId command) {
    return std::ranges::find(row.commands, command) != row.commands.end();
}

/// The names of the filter that are those of the things in the reply; null if these have none.
const Texts* names_of(const Clause& clause, CommandId command) {
    if (!clause.of->reply) return nullptr;
    if (command == kInterfaces || command == CommandId::kNetworkGetRoute)
        return &clause.of->reply->interfaces();
    if (command == kFsinfo) return &clause.of->reply->mounts();
    return command == CommandId::kGetUsers ? &clause.of->reply->users() : nullptr;
}

bool covers(std::string_view pattern, std::string_view name) {
    if (!pattern.ends_with('*')) return pattern == name;
    return name.starts_with(pattern.substr(0, pattern.size() - 1));
}

// Whether another pattern than the one that `name` was made of covers it, or stands for something longer.
bool is_taken(const std::string& name, std::size_t prefix, const std::set<std::string>& patterns) {
    return std::ranges::any_of(patterns, [&](const std::string& other) {
        return other.starts_with(name) || (other.size() > prefix + 1 && covers(other, name));
    });
}

// A name that the pattern covers, and of all others only those that cover everything that it does.
std::string name_for(const std::string& pattern, const std::set<std::string>& patterns) {
    if (!pattern.ends_with('*')) return pattern;
    const std::string prefix = pattern.substr(0, pattern.size() - 1);
    for (const std::string_view rest : {"", "-other"})
        for (char letter = '0'; letter < '~'; ++letter) {
            std::string name = prefix + letter + std::string(rest);
            if (!is_taken(name, prefix.size(), patterns)) return name;
        }
    return prefix;
}

void split_name(const Alive& alive, Request& request, const Visit& visit) {
    std::set<std::string> patterns;
    for (const Clause* clause : alive)
        if (const Texts* names = names_of(*clause, request.command))
            patterns.insert(names->begin(), names->end());
    request.reply.name.clear();
    visit();
    if (patterns.empty()) return;
    patterns.insert("*");
    for (const std::string& pattern : patterns) {
        request.reply.name = name_for(pattern, patterns);
        visit();
    }
}

bool meets_name(const Clause& clause, const Request& request) {
    const Texts* names = names_of(clause, request.command);
    if (names == nullptr || names->empty() || request.reply.name.empty()) return true;
    return std::ranges::any_of(*names,
                               [&](const auto& pattern) { return covers(pattern, request.reply.name); });
}

bool limits_name(const Clause& clause) {
    const auto& reply = clause.of->reply;
    return reply && !(reply->interfaces().empty() && reply->mounts().empty() && reply->users().empty());
}

void loosen_name(Rule& rule, std::size_t) {
    if (!rule.reply) return;
    rule.reply->clear_interfaces();
    rule.reply->clear_mounts();
    rule.reply->clear_users();
}

std::string show_name(const Request& request) {
    return request.reply.name;
}
bool read_name(Request& request, const std::string& word) {
    request.reply.name = word;
    return !word.empty();
}

void split_member(const Alive& alive, Request& request, const Visit& visit) {
    std::set<int> members{0};
    for (const Clause* clause : alive)
        for (const MemberWord& row : kMembers)
            if (clause->of->reply && is_in(row, request.command) &&
                std::ranges::find(clause->of->reply->without(), row.member) !=
                    clause->of->reply->without().end())
                members.insert(row.member);
    for (const int member : members) {
        request.reply.member = member;
        visit();
    }
}

bool meets_member(const Clause& clause, const Request& request) {
    if (request.reply.member == 0 || !clause.of->reply) return true;
    const auto& without = clause.of->reply->without();
    return std::ranges::find(without, request.reply.member) == without.end();
}

bool limits_member(const Clause& clause) {
    return clause.of->reply && !clause.of->reply->without().empty();
}

void loosen_member(Rule& rule, std::size_t) {
    if (rule.reply) rule.reply->clear_without();
}

std::string show_member(const Request& request) {
    return std::string(member_word(request.reply.member));
}

bool read_member(Request& request, const std::string& word) {
    const auto row = std::ranges::find(kMembers, word, &MemberWord::word);
    if (row == kMembers.end() || !is_in(*row, request.command)) return false;
    request.reply.member = row->member;
    return true;
}

constexpr Subject kR = Subject::kInspect;

// clang-format off
constexpr std::array kReplyFeatures{
    //      name      key        of  split         meets         limits         loosen         show         read
    Feature{"shows",  "reply",   kR, split_name,   meets_name,   limits_name,   loosen_name,   show_name,   read_name},
    Feature{"member", "without", kR, split_member, meets_member, limits_member, loosen_member, show_member, read_member},
    when_feature(kR),
    time_feature(kR),
};
// clang-format on

}  // namespace

std::string_view member_word(int member) {
    const auto row = std::ranges::find(kMembers, member, &MemberWord::member);
    return row == kMembers.end() ? std::string_view() : row->word;
}

std::span<const Feature> reply_features() {
    return kReplyFeatures;
}

}  // namespace sallyport::policy::analyse
