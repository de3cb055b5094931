// The decision about accounts: whose password or keys a host may change or read, and how.
// Runs in:  broker, and once more in the launcher, by its own copy of the templates; the policy tool
// Input:    names, secrets and keys of a host; in the launcher, orders of a broker that may have been taken over
#include "policy/accounts.hpp"

#include <algorithm>

#include "ipc/limits.hpp"
#include "policy/check_rule.hpp"

namespace sallyport::policy {

namespace {

constexpr std::string_view kBase64 = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
constexpr std::size_t kMaxOptions = 1024;
constexpr std::size_t kMaxTypes = 64;
constexpr std::size_t kMaxType = 127;  // its length is one byte of four
constexpr std::uint32_t kNobody = 0xFFFFFFFF;

std::unexpected<Error> invalid(const char* what) {
    return failure(Errc::kInvalid, what);
}

bool is_printable(char c) {
    return c >= 0x20 && c < 0x7f;
}

// A word of a key's line: no blank in it.
bool is_word(std::string_view text) {
    return !text.empty() && std::ranges::all_of(text, is_printable) &&
           text.find_first_of(" \"\\#") == text.npos;
}

bool is_type(std::string_view text) {
    return is_word(text) && text.size() <= kMaxType;
}

// Cuts the word in front off, and one blank.
std::string_view take_word(std::string_view& line) {
    const std::size_t end = std::min(line.find(' '), line.size());
    const std::string_view word = line.substr(0, end);
    line.remove_prefix(std::min(end + 1, line.size()));
    return word;
}

// TYPE BASE64, or with a comment behind; in front of it exactly the options of the rule.
//
// THREAT: sshd reads the line in another way. It takes a line for a key without options if its first word is a type and the second the
// base64 of a key of that type, which begins as it must here; with options, none of ours has a blank or a quote.
bool is_key_line(const ipc::AccountTemplate& by, std::string_view line) {
    if (!std::ranges::all_of(line,
                             [](char c) { return is_printable(c) || static_cast<unsigned char>(c) >= 0x80; }))
        return false;
    if (!by.options().empty() && take_word(line) != by.options()) return false;
    const std::string_view type = take_word(line);
    const std::string_view blob = take_word(line);
    const bool is_listed =
        by.any_key() ? is_type(type) : std::ranges::find(by.key_types(), type) != by.key_types().end();
    const std::size_t digits = std::min(blob.find_last_not_of('=') + 1, blob.size());
    return is_listed && blob.size() - digits <= 2 && blob.starts_with(key_blob_start(type)) &&
           blob.substr(0, digits).find_first_not_of(kBase64) == blob.npos;
}

// What upstream accepts, and no NUL.
bool is_line(std::string_view line) {
    return !line.starts_with('#') && line.find_first_of(std::string_view("\n\0", 2)) == line.npos;
}

// An empty line is none for sshd either; virsh sends one behind the keys of a file that ends as files do.
bool are_keys(const ipc::AccountTemplate& by, const AccountRequest& want) {
    if (!std::ranges::all_of(want.keys, is_line)) return false;
    if (want.command != CommandId::kSshAddAuthorizedKeys) return true;
    const auto is_empty = [](std::string_view line) { return line.empty(); };
    const auto empty = static_cast<std::size_t>(std::ranges::count_if(want.keys, is_empty));
    if (want.keys.size() - empty > by.max_keys()) return false;
    if (by.any_key() && by.options().empty()) return true;
    return std::ranges::all_of(want.keys,
                               [&](std::string_view line) { return line.empty() || is_key_line(by, line); });
}

// A hash is a field of a line whose fields are separated by colons. An empty one would let everybody in.
bool is_secret(const ipc::AccountTemplate& by, const AccountRequest& want) {
    if (want.command != CommandId::kSetUserPassword) return true;
    if (want.secret.empty() || want.secret.size() > kMaxPassword || (by.crypted_only() && !want.crypted))
        return false;
    if (want.secret.find_first_of(std::string_view("\n\0", 2)) != want.secret.npos) return false;
    return !want.crypted ||
           (std::ranges::all_of(want.secret, is_printable) && want.secret.find(':') == want.secret.npos);
}

bool is_about(const ipc::AccountTemplate& by, std::string_view user) {
    return find_account(by, user) != nullptr || (by.any_user() && user != "root" && is_user_name(user));
}

// Root has several names in some systems; whom "any" stands for, he never is: for him a rule that names him counts before one for "any", which meets
// nobody. What is said of another command does not count.
bool is_named_root(const AccountTemplates& templates, const AccountRequest& want) {
    return std::ranges::any_of(templates, [&](const ipc::AccountTemplate& one) {
        const ipc::Account* const named = find_account(one, want.user);
        return named != nullptr && named->uid() == 0 &&
               one.command() == static_cast<std::uint32_t>(want.command);
    });
}

// Whether by that one more may be done than by the other.
bool says_less(const ipc::AccountTemplate& one, const ipc::AccountTemplate& other) {
    const bool adds = one.command() == static_cast<std::uint32_t>(CommandId::kSshAddAuthorizedKeys);
    if (adds && one.max_keys() != other.max_keys()) return one.max_keys() > other.max_keys();
    return !one.any_user() && other.any_user();
}

}  // namespace

// The length of the type in four bytes, and its name.
std::string key_blob_start(std::string_view type) {
    std::string bytes(3, '\0');
    bytes.push_back(static_cast<char>(type.size()));
    bytes += type;
    std::string text;
    for (std::size_t at = 0; at + 3 <= bytes.size(); at += 3) {
        unsigned three = 0;
        for (const char c : std::string_view(bytes).substr(at, 3))
            three = three << 8U | static_cast<unsigned char>(c);
        for (const unsigned shift : {18U, 12U, 6U, 0U}) text.push_back(kBase64[three >> shift & 63U]);
    }
    return text;
}

AccountTemplates account_templates(const Policy& policy) {
    AccountTemplates all;
    for (const Command& row : kCommands) {
        if (row.constraint != Constraint::kUsers) continue;
        for (const Rule& rule : policy.rules) {
            if (!rule.accounts || !rule.commands.has(row.id)) continue;
            const auto times = times_of(policy, rule, row.id);
            if (!times) continue;
            ipc::AccountTemplate& to = *all.Add();
            to = *rule.accounts;
            to.set_command(static_cast<std::uint32_t>(row.id));
            to.set_rule(rule.id);
            *to.mutable_times() = *times;
        }
    }
    return all;
}

AccountMiss match_account(const ipc::AccountTemplate& by, const AccountRequest& want, Moment now) {
    if (by.command() != static_cast<std::uint32_t>(want.command) || !is_about(by, want.user))
        return AccountMiss::kUser;
    if (!ipc::is_time(by.times(), now)) return AccountMiss::kTime;
    if (!is_secret(by, want)) return AccountMiss::kSecret;
    if (want.reset && !by.reset()) return AccountMiss::kReset;
    return are_keys(by, want) ? AccountMiss::kNothing : AccountMiss::kKeys;
}

AccountDecision decide_account(const AccountTemplates& templates, const AccountRequest& want, Moment now) {
    AccountDecision decision;
    const bool is_root = is_named_root(templates, want);
    const auto is_better = [&](const ipc::AccountTemplate& one, const ipc::AccountTemplate& other) {
        return is_root && one.any_user() != other.any_user() ? other.any_user() : says_less(one, other);
    };
    for (int at = 0; at < templates.size(); ++at) {
        const AccountMiss miss = match_account(templates[at], want, now);
        decision.miss = std::max(decision.miss, miss);
        if (miss == AccountMiss::kNothing &&
            (decision.at < 0 || is_better(templates[at], templates[decision.at])))
            decision.at = at;
    }
    return decision;
}

bool is_user_name(std::string_view name) {
    const auto is_letter = [](char c) {
        return c != ':' && c != ',' && c != '/' && (static_cast<unsigned char>(c) > 0x20) && c != 0x7f;
    };
    return !name.empty() && name.size() <= kMaxUserName && name.front() != '-' && name.front() != '+' &&
           std::ranges::all_of(name, is_letter);
}

const ipc::Account* find_account(const ipc::AccountTemplate& by, std::string_view name) {
    const auto at = std::ranges::find(by.accounts(), name,
                                      [](const ipc::Account& one) { return std::string_view(one.name()); });
    return at == by.accounts().end() ? nullptr : &*at;
}

// (uid_t)-1 would leave root what it is.
bool is_account(const ipc::Account& account) {
    return is_user_name(account.name()) && account.uid() != kNobody && account.gid() != kNobody &&
           std::ranges::find(account.groups(), kNobody) == account.groups().end() &&
           std::ranges::adjacent_find(account.groups(), std::ranges::greater_equal{}) ==
               account.groups().end() &&
           (account.home().empty() || is_directory_name(account.home()));
}

Status check_account_template(const ipc::AccountTemplate& from) {
    if (from.accounts().empty() == !from.any_user())
        return invalid("policy: neither 'users' nor any user, or both");
    if (!std::ranges::all_of(from.accounts(), is_account)) return invalid("policy: a user that is none");
    const bool has_types = !from.key_types().empty();
    if (has_types && from.any_key()) return invalid("policy: types of keys, and any");
    if (from.key_types_size() > static_cast<int>(kMaxTypes) ||
        !std::ranges::all_of(from.key_types(), is_type))
        return invalid("policy: bad type of key");
    if (from.options().size() > kMaxOptions || (!from.options().empty() && !is_word(from.options())))
        return invalid("policy: bad options of keys");
    if (from.max_keys() > kMaxKeys) return invalid("policy: too many keys");
    const bool has_own = from.command() != 0 || !from.rule().empty() || from.has_times();
    return has_own ? invalid("policy: a template with terms of its rule") : Status();
}

}  // namespace sallyport::policy
