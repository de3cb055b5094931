#include "policy/tool/compile/reply_rule.hpp"

#include <algorithm>
#include <vector>

#include "ipc/limits.hpp"

namespace sallyport::policy::compile {

namespace {

using Is = ipc::ReplyFilter;

constexpr std::array<std::string_view, 4> kKeys{"interfaces", "mounts", "users", "without"};

constexpr std::array kMembers{
    Choice{"hardware-address", Is::HARDWARE_ADDRESS},
    Choice{"ip-addresses", Is::IP_ADDRESSES},
    Choice{"statistics", Is::STATISTICS},
    Choice{"serial", Is::SERIAL},
    Choice{"dev", Is::DEV},
    Choice{"alias", Is::ALIAS},
    Choice{"address", Is::ADDRESS},
    Choice{"used-bytes", Is::USED_BYTES},
    Choice{"total-bytes", Is::TOTAL_BYTES},
    Choice{"total-bytes-privileged", Is::TOTAL_BYTES_PRIVILEGED},
    Choice{"zone", Is::ZONE},
    Choice{"kernel-release", Is::KERNEL_RELEASE},
    Choice{"kernel-version", Is::KERNEL_VERSION},
    Choice{"machine", Is::MACHINE},
    Choice{"version", Is::VERSION},
    Choice{"version-id", Is::VERSION_ID},
    Choice{"variant", Is::VARIANT},
    Choice{"variant-id", Is::VARIANT_ID},
    Choice{"pretty-name", Is::PRETTY_NAME},
};

/// A key for names, and the commands whose replies contain such names.
struct NamesKey {
    std::string_view key;
    std::array<CommandId, 2> commands;
    google::protobuf::RepeatedPtrField<std::string>* (Is::*names)();
};
constexpr std::array kNamesKeys{
    NamesKey{"interfaces",
             {CommandId::kNetworkGetInterfaces, CommandId::kNetworkGetRoute},
             &Is::mutable_interfaces},
    NamesKey{"mounts", {CommandId::kGetFsinfo, CommandId::kGetFsinfo}, &Is::mutable_mounts},
    NamesKey{"users", {CommandId::kGetUsers, CommandId::kGetUsers}, &Is::mutable_users},
};

void read_names(Reader& reader, const toml::table& reply, const NamesKey& row, Is& to) {
    const auto words = reader.words(reply, row.key);
    if (!words) return;
    for (const Word& word : *words) {
        const std::size_t star = word.text.find('*');
        if (word.text.empty() || word.text.size() > kMaxPath) {
            reader.problem(word.place, "a name in '" + std::string(row.key) + "' is empty or too long");
        } else if (star != word.text.npos && star + 1 != word.text.size()) {
            reader.problem(word.place, "'*' can stand at the end of a name only");
        } else {
            *(to.*row.names)()->Add() = std::string(word.text);
        }
    }
}

}  // namespace

void read_reply(Reader& reader, const toml::table& rule, CommandSet commands, compiled::Rule& to) {
    const toml::table* reply = reader.table(rule, "reply");
    if (reply == nullptr) return;
    const Place place = place_of(*rule.get("reply"));
    const bool looks = std::ranges::any_of(kCommands, [&](const Command& row) {
        return row.answered_by == AnsweredBy::kInspector && commands.has(row.id);
    });
    if (to.effect() == compiled::Rule::DENY)
        return reader.problem(place, "'reply' belongs in an allow rule: it says what the host may see");
    if (!looks)
        return reader.problem(place,
                              "'reply' means nothing here: no command of this rule is one of @inspect");
    reader.only_keys(*reply, kKeys, "'reply'");
    for (const NamesKey& row : kNamesKeys) {
        if (!reply->contains(row.key)) continue;
        if (!std::ranges::any_of(row.commands, [&](CommandId id) { return commands.has(id); }))
            reader.problem(place_of(*reply->get(row.key)),
                           "'" + std::string(row.key) + "' means nothing here: the rule does not allow " +
                               std::string(command_row(row.commands[0]).name));
        read_names(reader, *reply, row, *to.mutable_reply());
    }
    std::vector<int> members;
    for (const Word& word : reader.words(*reply, "without").value_or(std::vector<Word>{}))
        if (const auto member = reader.choice(word, "without", kMembers)) members.push_back(*member);
    std::ranges::sort(members);
    for (const int member : members) to.mutable_reply()->add_without(static_cast<Is::Member>(member));
    to.mutable_reply();
}

}  // namespace sallyport::policy::compile
