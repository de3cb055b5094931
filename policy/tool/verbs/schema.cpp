// schema: a JSON Schema of the policy language, for editors. Which keys there are and which words they take is what the compiler itself asks for;
// the types of values stand here.
#include <algorithm>
#include <array>
#include <string>

#include "policy/tool/compile/profiles.hpp"
#include "policy/tool/compile/vocabulary.hpp"
#include "policy/tool/verbs/files.hpp"
#include "policy/tool/verbs/json.hpp"
#include "policy/tool/verbs/verb.hpp"
#include "schema/commands.hpp"

namespace sallyport::policy::cli {

namespace {

using compile::Vocabulary;

/// The value of a key: a schema, or one of the words below.
struct Value {
    std::string_view key;
    std::string_view schema;
    std::string_view owner = {};  // if it is not the same for all who have such a key
};

constexpr std::string_view kWord = "word";             // one of the words that the compiler knows for the key
constexpr std::string_view kWords = "words";           // a list of them
constexpr std::string_view kAnyOrWords = "any words";  // the same, or "any"
constexpr std::string_view kCommandNames = "commands";
constexpr std::string_view kProfileNames = "profiles";
constexpr std::string_view kText = R"({"type":"string"})";
constexpr std::string_view kTexts =
    R"({"type":"array","items":{"type":"string"},"minItems":1,"uniqueItems":true})";
constexpr std::string_view kAnyOrTexts =
    R"({"anyOf":[{"const":"any"},{"type":"array","items":{"type":"string"},"minItems":1,"uniqueItems":true}]})";
constexpr std::string_view kUsers =
    R"({"type":"array","items":{"anyOf":[{"type":"string"},{"type":"integer","minimum":0,"maximum":4294967294}]}})";
constexpr std::string_view kPath = R"({"type":"string","pattern":"^/"})";
constexpr std::string_view kPaths =
    R"({"type":"array","items":{"type":"string","pattern":"^/"},"minItems":1,"uniqueItems":true})";
constexpr std::string_view kSize = R"({"type":"string","pattern":"^[0-9]+(B|KiB|MiB|GiB|TiB)$"})";
constexpr std::string_view kSizeOrNumber =
    R"({"anyOf":[{"type":"integer","minimum":1},{"type":"string","pattern":"^[0-9]+(B|KiB|MiB|GiB|TiB)$"}]})";
constexpr std::string_view kDuration = R"({"type":"string","pattern":"^[0-9]+(ms|s|m|h)$"})";
constexpr std::string_view kCount = R"({"type":"integer","minimum":1})";
constexpr std::string_view kFlag = R"({"type":"boolean"})";
constexpr std::string_view kNumbers =
    R"({"type":"string","pattern":"^(any|[0-9]+(-[0-9]+)?(,[0-9]+(-[0-9]+)?)*)$"})";

// clang-format off
constexpr std::array kValues{
    Value{"schema",            R"({"const":1})"},
    Value{"include",           kProfileNames},
    Value{"dialect",           kWord},
    Value{"peers",             R"({"$ref":"#/definitions/peers"})"},
    Value{"audit",             R"({"$ref":"#/definitions/audit"})"},
    Value{"allow",             R"({"type":"array","items":{"$ref":"#/definitions/an-allow-rule"}})"},
    Value{"deny",              R"({"type":"array","items":{"$ref":"#/definitions/a-deny-rule"}})"},
    Value{"never",             R"({"type":"array","items":{"$ref":"#/definitions/a-never-rule"},"maxItems":256})"},
    Value{"uids",              kUsers},
    Value{"cids",              R"({"type":"array","items":{"type":"integer","minimum":0,"maximum":4294967294}})"},
    Value{"keep",              R"({"type":"integer","minimum":1,"maximum":999})"},
    Value{"on_loss",           kWord},
    Value{"journal",           kWord},
    Value{"max_size",          kSize, "'audit'"},
    Value{"max_size",          kSizeOrNumber},
    Value{"id",                R"({"type":"string","pattern":"^[A-Za-z0-9_.-]{1,64}$"})"},
    Value{"why",               kText},
    Value{"commands",          kCommandNames},
    Value{"files",             R"({"type":"array","minItems":1,"items":{"$ref":"#/definitions/a-file-rule"}})"},
    Value{"modes",             kWords},
    Value{"method",            kWord},
    Value{"freeze",            R"({"$ref":"#/definitions/freeze"})"},
    Value{"reply",             R"({"$ref":"#/definitions/reply"})"},
    Value{"exec",              R"({"$ref":"#/definitions/exec-of-a-never-rule"})", "a never rule"},
    Value{"exec",              R"({"type":"array","minItems":1,"items":{"$ref":"#/definitions/an-exec-table"}})"},
    Value{"enforce",           kFlag},
    Value{"expires",           R"({"type":"string","format":"date-time"})"},
    Value{"when",              R"({"$ref":"#/definitions/when"})"},
    Value{"days",              R"({"type":"string","pattern":"^(mon|tue|wed|thu|fri|sat|sun)([-,](mon|tue|wed|thu|fri|sat|sun))*$"})"},
    Value{"hours",             R"({"type":"string","pattern":"^[0-9]{2}:[0-9]{2}-[0-9]{2}:[0-9]{2}$"})"},
    Value{"tz",                kText},
    Value{"time",              R"({"$ref":"#/definitions/time"})"},
    Value{"vcpus",             R"({"$ref":"#/definitions/vcpus"})"},
    Value{"memory",            kSize, "'confine'"},
    Value{"memory",            R"({"$ref":"#/definitions/memory"})"},
    Value{"users",             kTexts, "a never rule"},
    Value{"users",             kTexts, "'reply'"},
    Value{"users",             kAnyOrTexts},
    Value{"crypted",           kWord},
    Value{"key_types",         kAnyOrWords},
    Value{"max_keys",          R"({"type":"integer","minimum":1,"maximum":10000})"},
    Value{"reset",             kFlag},
    Value{"require",           R"({"type":"array","minItems":1,"uniqueItems":true,"items":{"type":"string","pattern":"^[A-Za-z-]+$"}})"},
    Value{"under",             kPath},
    Value{"access",            kWords},
    Value{"owner",             kUsers},
    Value{"kinds",             kWords},
    Value{"links",             kWord},
    Value{"symlinks",          kWord},
    Value{"setid",             kWord},
    Value{"create_mode",       R"({"type":"string","pattern":"^0[0-7]{3}$"})"},
    Value{"mounts",            kTexts, "'reply'"},
    Value{"mounts",            kPaths},
    Value{"types",             kTexts},
    Value{"sources",           kTexts},
    Value{"exclude",           kPaths},
    Value{"exclude_types",     kTexts},
    Value{"exclude_sources",   kTexts},
    Value{"max_frozen",        kDuration},
    Value{"per_mount",         kDuration},
    Value{"already_frozen",    kWord},
    Value{"hooks",             kPath},
    Value{"interfaces",        kTexts},
    Value{"without",           kWords},
    Value{"program",           R"({"anyOf":[{"const":"any"},{"type":"string","pattern":"^/"}]})"},
    Value{"args",              R"({"anyOf":[{"const":"any"},{"type":"array","items":{"anyOf":[{"type":"string"},{"$ref":"#/definitions/an-element-of-args"}]}}]})"},
    Value{"run_as",            kUsers, "'exec' of a never rule"},
    Value{"run_as",            kText},
    Value{"env",               R"({"type":"object","additionalProperties":{"type":"string"}})"},
    Value{"host_env",          kAnyOrTexts},
    Value{"input",             kSize},
    Value{"output",            kSize},
    Value{"max_runtime",       kDuration},
    Value{"concurrent",        R"({"type":"integer","minimum":1,"maximum":32})", "an 'exec' table"},
    Value{"concurrent",        R"({"type":"integer","minimum":1,"maximum":512})"},
    Value{"rate",              R"({"type":"string","pattern":"^[1-9][0-9]*/(s|min|h|day)( burst [1-9][0-9]*)?$"})"},
    Value{"bytes",             R"({"type":"string","pattern":"^[1-9][0-9]*(B|KiB|MiB|GiB|TiB)/(s|min|h|day)$"})"},
    Value{"confine",           R"({"$ref":"#/definitions/confine"})"},
    Value{"network",           kFlag},
    Value{"no_new_privileges", kFlag},
    Value{"write",             kPaths},
    Value{"tasks",             kCount},
    Value{"one_of",            kTexts},
    Value{"int",               R"({"type":"array","items":{"type":"integer"},"minItems":2,"maxItems":2})"},
    Value{"name",              kCount},
    Value{"programs",          kPaths},
    Value{"max_step",          R"({"type":"string","pattern":"^(any|[0-9]+(ms|s|m|h))$"})"},
    Value{"min_online",        kCount},
    Value{"cpus",              kNumbers},
    Value{"blocks",            kNumbers},
};

struct Required {
    std::string_view owner;
    std::string_view keys;
};
constexpr std::array kRequired{
    Required{"the policy",     R"(["schema"])"},
    Required{"an allow rule",  R"(["id","commands"])"},
    Required{"a deny rule",    R"(["id"])"},
    Required{"a never rule",   R"(["id"])"},
    Required{"a file rule",    R"(["under"])"},
    Required{"an 'exec' table", R"(["program","args","run_as"])"},
};
// clang-format on

std::string enum_of(const std::vector<std::string>& words) {
    return R"({"enum":)" + json_strings(words) + "}";
}

std::string list_of(const std::string& items) {
    return R"({"type":"array","minItems":1,"uniqueItems":true,"items":)" + items + "}";
}

std::string command_names() {
    std::vector<std::string> names;
    for (const GroupName& row : kGroups) names.emplace_back(row.name);
    for (const Command& row : kCommands) names.emplace_back(row.name);
    return list_of(enum_of(names));
}

std::string profile_names() {
    std::vector<std::string> names;
    for (const compile::Profile& profile : compile::profiles())
        names.push_back("profile:" + std::string(profile.name));
    const std::string one = enum_of(names);
    return R"({"anyOf":[)" + one + "," + list_of(one) + "]}";
}

/// A key that has no row takes anything: to an editor it is known, and no more.
std::string schema_of(std::string_view owner, std::string_view key, const Vocabulary& vocabulary) {
    const auto row = std::ranges::find_if(kValues, [&](const Value& value) {
        return value.key == key && (value.owner.empty() || value.owner == owner);
    });
    if (row == kValues.end()) return "{}";
    const auto words = vocabulary.words.find(key);
    const std::string one = words == vocabulary.words.end() ? "{}" : enum_of(words->second);
    if (row->schema == kWord) return one;
    if (row->schema == kWords) return list_of(one);
    if (row->schema == kAnyOrWords) return R"({"anyOf":[{"const":"any"},)" + list_of(one) + "]}";
    if (row->schema == kCommandNames) return command_names();
    if (row->schema == kProfileNames) return profile_names();
    return std::string(row->schema);
}

/// Whose keys they are, as a name that needs no quotes: "an-exec-table".
std::string name_of(std::string_view owner) {
    std::string name;
    for (const char letter : owner) {
        const bool is_letter = letter >= 'a' && letter <= 'z';
        if (is_letter)
            name += letter;
        else if (!name.empty() && !name.ends_with('-'))
            name += '-';
    }
    if (name.ends_with('-')) name.pop_back();
    return name;
}

std::string table_of(const std::string& owner, const std::vector<std::string>& keys,
                     const Vocabulary& vocabulary) {
    JsonObject properties;
    for (const std::string& key : keys) properties.add_value(key, schema_of(owner, key, vocabulary));
    JsonObject table;
    table.add("type", "object").add_value("properties", properties.text()).add("additionalProperties", false);
    for (const Required& row : kRequired)
        if (row.owner == owner) table.add_value("required", row.keys);
    return table.text();
}

}  // namespace

int run_schema() {
    const Vocabulary vocabulary = compile::vocabulary();
    JsonObject definitions;
    for (const auto& [owner, keys] : vocabulary.keys)
        definitions.add_value(name_of(owner), table_of(owner, keys, vocabulary));
    print(JsonObject()
              .add("$schema", "http://json-schema.org/draft-07/schema#")
              .add("title", "Policy of the Sallyport guest agent")
              .add("description", "What the host of this machine may do through its guest agent")
              .add_value("definitions", definitions.text())
              .add_value("allOf", R"([{"$ref":"#/definitions/the-policy"}])")
              .text() +
          "\n");
    return kSuccess;
}

}  // namespace sallyport::policy::cli
