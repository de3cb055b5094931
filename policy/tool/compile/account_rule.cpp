#include "policy/tool/compile/account_rule.hpp"

#include <algorithm>
#include <array>
#include <string>

#include "ipc/limits.hpp"
#include "policy/accounts.hpp"
#include "policy/check_rule.hpp"
#include "policy/tool/compile/problems.hpp"
#include "policy/tool/compile/suggest.hpp"
#include "schema/commands.hpp"

namespace sallyport::policy::compile {

namespace {

constexpr std::string_view kAny = "any";
constexpr std::array<std::string_view, 6> kAccountKeys{"users",    "crypted", "key_types",
                                                       "max_keys", "reset",   "require"};
constexpr std::array<std::string_view, 4> kAddKeys{"key_types", "max_keys", "reset", "require"};
constexpr std::array kCrypted{Choice{"only", 1}, Choice{"any", 0}};
// What sshd takes in an authorized_keys.
constexpr std::array kTypes{Choice{"ssh-ed25519", 0},
                            Choice{"ecdsa-sha2-nistp256", 0},
                            Choice{"ecdsa-sha2-nistp384", 0},
                            Choice{"ecdsa-sha2-nistp521", 0},
                            Choice{"ssh-rsa", 0},
                            Choice{"sk-ssh-ed25519@openssh.com", 0},
                            Choice{"sk-ecdsa-sha2-nistp256@openssh.com", 0}};

bool is_any(const toml::table& rule, std::string_view key) {
    const toml::node* node = rule.get(key);
    const auto* text = node == nullptr ? nullptr : node->as_string();
    return text != nullptr && text->get() == kAny;
}

void read_user(Reader& reader, const Passwd& passwd, const Word& word, ipc::AccountTemplate& to) {
    auto ids = passwd.ids_of(word.text);
    std::string_view home = passwd.home_of(word.text);
    if (!ids && word.text == "root") {
        ids = Passwd::Ids{.uid = 0, .gid = 0, .groups = {0}};
        home = "/root";
    }
    if (!ids || !is_user_name(word.text)) {
        const auto near = closest(word.text, passwd.names());
        return reader.problem(word.place, "no user " + quoted(word.text) + " in /etc/passwd" +
                                              (near ? "; did you mean '" + std::string(*near) + "'?" : ""));
    }
    ipc::Account& account = *to.add_accounts();
    account.set_name(std::string(word.text));
    account.set_uid(ids->uid);
    account.set_gid(ids->gid);
    for (const std::uint32_t group : ids->groups) account.add_groups(group);
    // One that is no path is none.
    if (is_directory_name(home)) account.set_home(std::string(home));
}

void read_users(Reader& reader, const Passwd& passwd, const toml::table& rule, ipc::AccountTemplate& to) {
    if (!rule.contains("users"))
        return reader.problem(
            place_of(*rule.get("commands")),
            "a rule that allows a command of @accounts must say whose: users = [\"alice\"], or users = "
            "\"any\" for all but root");
    if (is_any(rule, "users")) return to.set_any_user(true);
    if (const auto words = reader.words(rule, "users"))
        for (const Word& word : *words) read_user(reader, passwd, word, to);
}

void read_crypted(Reader& reader, const toml::table& rule, bool sets, ipc::AccountTemplate& to) {
    if (rule.contains("crypted") != sets)
        return reader.problem(place_of(*rule.get(sets ? "commands" : "crypted")),
                              sets ? "a rule that allows guest-set-user-password must say crypted = "
                                     "\"only\", for hashes alone, or \"any\""
                                   : "'crypted' means nothing here: it is about guest-set-user-password");
    if (sets) to.set_crypted_only(reader.choice(rule, "crypted", kCrypted).value_or(1) == 1);
}

void read_types(Reader& reader, const toml::table& rule, ipc::AccountTemplate& to) {
    if (!rule.contains("key_types"))
        return reader.problem(
            place_of(*rule.get("commands")),
            "a rule that allows guest-ssh-add-authorized-keys must say which keys: key_types = "
            "[\"ssh-ed25519\"], or \"any\"");
    if (is_any(rule, "key_types")) return to.set_any_key(true);
    if (const auto words = reader.words(rule, "key_types"))
        for (const Word& word : *words)
            if (reader.choice(word, "key_types", kTypes)) to.add_key_types(std::string(word.text));
}

// Options of ours need no quotes: 'restrict', 'no-pty' and the like. In a place of its own each, and compared as they are.
void read_require(Reader& reader, const toml::table& rule, ipc::AccountTemplate& to) {
    const auto words = reader.words(rule, "require");
    if (!words) return;
    std::string options;
    for (const Word& word : *words) {
        if (word.text.empty() ||
            word.text.find_first_not_of("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ-") !=
                word.text.npos)
            reader.problem(word.place, "'require' holds options without a value, like \"restrict\"; " +
                                           quoted(word.text) + " is none");
        options.append(options.empty() ? "" : ",").append(word.text);
    }
    to.set_options(options);
}

void read_most(Reader& reader, const toml::table& rule, ipc::AccountTemplate& to) {
    to.set_max_keys(kDefaultMaxKeys);
    const toml::node* node = rule.get("max_keys");
    if (node == nullptr) return;
    const auto* count = node->as_integer();
    if (count == nullptr || count->get() < 1 || count->get() > std::int64_t{kMaxKeys})
        return reader.problem(place_of(*node),
                              "'max_keys' must be a number from 1 to " + std::to_string(kMaxKeys));
    to.set_max_keys(static_cast<std::uint32_t>(count->get()));
}

void read_keys(Reader& reader, const toml::table& rule, bool adds, ipc::AccountTemplate& to) {
    if (!adds) {
        for (const std::string_view key : kAddKeys)
            if (const toml::node* node = rule.get(key))
                reader.problem(
                    place_of(*node),
                    quoted(key) + " means nothing here: it is about guest-ssh-add-authorized-keys");
        return;
    }
    read_types(reader, rule, to);
    read_require(reader, rule, to);
    read_most(reader, rule, to);
    const toml::node* reset = rule.get("reset");
    if (reset == nullptr) return;
    if (const auto* flag = reset->as_boolean())
        to.set_reset(flag->get());
    else
        reader.wrong_type(*reset, "reset", "true or false");
}

}  // namespace

void read_accounts(Reader& reader, const Passwd& passwd, const toml::table& rule, compiled::Rule& to) {
    CommandSet commands;
    for (const std::uint32_t number : to.commands()) commands.add(static_cast<CommandId>(number));
    const bool is_about = std::ranges::any_of(kCommands, [&](const Command& row) {
        return row.constraint == Constraint::kUsers && commands.has(row.id);
    });
    if (to.effect() == compiled::Rule::DENY || !is_about) {
        const char* const why = is_about ? " means nothing in a deny rule"
                                         : " means nothing here: no command of the rule is one of @accounts";
        for (const std::string_view key : kAccountKeys)
            if (const toml::node* node = rule.get(key)) reader.problem(place_of(*node), quoted(key) + why);
        return;
    }
    ipc::AccountTemplate& accounts = *to.mutable_accounts();
    read_users(reader, passwd, rule, accounts);
    read_crypted(reader, rule, commands.has(CommandId::kSetUserPassword), accounts);
    read_keys(reader, rule, commands.has(CommandId::kSshAddAuthorizedKeys), accounts);
}

std::vector<ipc::Account> read_never_users(Reader& reader, const Passwd& passwd, const toml::table& rule) {
    ipc::AccountTemplate named;
    if (const auto words = reader.words(rule, "users"))
        for (const Word& word : *words) read_user(reader, passwd, word, named);
    return {named.accounts().begin(), named.accounts().end()};
}

}  // namespace sallyport::policy::compile
