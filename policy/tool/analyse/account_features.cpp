// What a rule for @accounts looks at: whose password or keys, in which form, and what keys.
#include <algorithm>
#include <array>
#include <charconv>
#include <set>

#include "ipc/limits.hpp"
#include "policy/tool/analyse/feature.hpp"
#include "policy/tool/analyse/orders.hpp"
#include "policy/tool/analyse/sets.hpp"

namespace sallyport::policy::analyse {

namespace {

constexpr CommandId kPassword = CommandId::kSetUserPassword;
constexpr CommandId kAdd = CommandId::kSshAddAuthorizedKeys;
constexpr const char* kRoot = "root";

/// Whether the command is one to which that part of the rule says something.
bool is_of(const Clause& clause, CommandId command) {
    return clause.account != nullptr && clause.command == command;
}

std::string fresh_name(std::string text, const std::set<std::string>& taken) {
    while (taken.contains(text)) text += "x";
    return text;
}

void split_user(const Alive& alive, Request& request, const Visit& visit) {
    std::set<std::string> users;
    for (const Clause* clause : alive) {
        if (clause->account == nullptr) continue;
        for (const ipc::Account& one : clause->account->accounts()) users.insert(one.name());
        if (clause->account->any_user()) users.insert(kRoot);
    }
    users.insert(fresh_name("other", users));
    for (const std::string& user : users) {
        request.account.user = user;
        visit();
    }
}

// By the decision's own function. No template has a command before it is one of a rule and of a command.
bool meets_user(const Clause& clause, const Request& request) {
    if (clause.account == nullptr) return true;
    const AccountRequest want{.command = CommandId{}, .user = request.account.user};
    return match_account(*clause.account, want, 0) != AccountMiss::kUser;
}

bool limits_user(const Clause& clause) {
    return clause.account != nullptr &&
           !(clause.account->any_user() && find_account(*clause.account, kRoot) != nullptr);
}

// "any" leaves root out.
void loosen_user(Rule& rule, std::size_t) {
    if (!rule.accounts) return;
    rule.accounts->set_any_user(true);
    if (find_account(*rule.accounts, kRoot) == nullptr) rule.accounts->add_accounts()->set_name(kRoot);
}

std::string show_user(const Request& request) {
    return request.account.user;
}
bool read_user(Request& request, const std::string& word) {
    request.account.user = word;
    return !word.empty();
}

void split_crypted(const Alive&, Request& request, const Visit& visit) {
    for (const bool is_crypted : {false, true}) {
        if (is_crypted && request.command != kPassword) continue;
        request.account.crypted = is_crypted;
        visit();
    }
}

bool meets_crypted(const Clause& clause, const Request& request) {
    return !is_of(clause, kPassword) || !clause.account->crypted_only() || request.account.crypted;
}

bool limits_crypted(const Clause& clause) {
    return is_of(clause, kPassword) && clause.account->crypted_only();
}

void loosen_crypted(Rule& rule, std::size_t) {
    if (rule.accounts) rule.accounts->set_crypted_only(false);
}

std::string show_crypted(const Request& request) {
    return request.command == kPassword ? show_flag(request.account.crypted) : "";
}
bool read_crypted(Request& request, const std::string& word) {
    return request.command == kPassword && read_flag(request.account.crypted, word);
}

// By the decision's own function, of a template that takes all but some keys.
bool takes_key(const Clause& clause, const std::string& line) {
    if (!is_of(clause, kAdd)) return true;
    ipc::AccountTemplate by;
    by.set_command(static_cast<std::uint32_t>(kAdd));
    by.set_any_user(true);
    by.set_max_keys(1);
    *by.mutable_key_types() = clause.account->key_types();
    by.set_any_key(clause.account->any_key());
    by.set_options(clause.account->options());
    const AccountRequest want{.command = kAdd, .user = "other", .keys = {line}};
    return match_account(by, want, 0) == AccountMiss::kNothing;
}

// Each of the options with each of the types, and what no rule says. With these options a line is taken by no rule but one that
// takes every line.
void split_keys(const Alive& alive, Request& request, const Visit& visit) {
    request.account.keys.clear();
    if (request.command != kAdd) return visit();
    std::set<std::string> options{""}, types;
    for (const Clause* clause : alive) {
        if (clause->account == nullptr) continue;
        options.insert(clause->account->options());
        types.insert(clause->account->key_types().begin(), clause->account->key_types().end());
    }
    options.insert(fresh_name("other-option", options));
    types.insert(fresh_name("other-type", types));
    std::vector<std::string> lines;
    for (const std::string& front : options)
        for (const std::string& type : types)
            lines.push_back(key_line(front.empty() ? type : front + " " + type));
    for (auto& keys : sets_of(alive, lines, takes_key)) {
        request.account.keys = std::move(keys);
        visit();
    }
}

bool meets_keys(const Clause& clause, const Request& request) {
    return std::ranges::all_of(request.account.keys,
                               [&](const std::string& line) { return takes_key(clause, line); });
}

bool limits_keys(const Clause& clause) {
    return is_of(clause, kAdd) && !(clause.account->any_key() && clause.account->options().empty());
}

void loosen_keys(Rule& rule, std::size_t) {
    if (!rule.accounts) return;
    rule.accounts->clear_key_types();
    rule.accounts->clear_options();
    rule.accounts->set_any_key(true);
}

std::string show_keys(const Request& request) {
    std::string text;
    for (const std::string& line : request.account.keys) {
        const std::string front = line.substr(0, std::min(line.rfind(' '), line.size()));
        text.append(text.empty() ? "" : "\n").append(key_line(front) == line ? front : line);
    }
    return text;
}

bool read_key(Request& request, const std::string& word) {
    request.account.keys.push_back(key_line(word));
    return !word.empty() && word.find('\n') == word.npos;
}

// So many keys as a rule does not take are those that are there, more than once.
void split_count(const Alive& alive, Request& request, const Visit& visit) {
    const std::size_t least = request.account.keys.size();
    std::set<std::size_t> counts{least};
    for (const Clause* clause : alive)
        if (is_of(*clause, kAdd) && least > 0 && clause->account->max_keys() < kMaxKeys)
            counts.insert(std::max<std::size_t>(least, clause->account->max_keys() + 1));
    for (const std::size_t count : counts) {
        request.account.count = count;
        visit();
    }
}

std::size_t count_of(const Request& request) {
    const std::size_t least = request.account.keys.size();
    return least == 0 ? 0 : std::max(least, request.account.count);
}

bool meets_count(const Clause& clause, const Request& request) {
    return !is_of(clause, kAdd) || count_of(request) <= clause.account->max_keys();
}

bool limits_count(const Clause& clause) {
    return is_of(clause, kAdd) && clause.account->max_keys() < kMaxKeys;
}

void loosen_count(Rule& rule, std::size_t) {
    if (rule.accounts) rule.accounts->set_max_keys(kMaxKeys);
}

std::string show_count(const Request& request) {
    const std::size_t count = count_of(request);
    return count > request.account.keys.size() ? std::to_string(count) : "";
}

bool read_count(Request& request, const std::string& word) {
    const char* const end = word.data() + word.size();
    const auto [stopped, error] = std::from_chars(word.data(), end, request.account.count);
    return error == std::errc{} && stopped == end && request.account.count <= kMaxKeys;
}

void split_reset(const Alive&, Request& request, const Visit& visit) {
    for (const bool is_reset : {false, true}) {
        if (is_reset && request.command != kAdd) continue;
        request.account.reset = is_reset;
        visit();
    }
}

bool meets_reset(const Clause& clause, const Request& request) {
    return !is_of(clause, kAdd) || !request.account.reset || clause.account->reset();
}

bool limits_reset(const Clause& clause) {
    return is_of(clause, kAdd) && !clause.account->reset();
}

void loosen_reset(Rule& rule, std::size_t) {
    if (rule.accounts) rule.accounts->set_reset(true);
}

std::string show_reset(const Request& request) {
    return request.command == kAdd ? show_flag(request.account.reset) : "";
}
bool read_reset(Request& request, const std::string& word) {
    return request.command == kAdd && read_flag(request.account.reset, word);
}

constexpr Subject kA = Subject::kAccounts;

// clang-format off
constexpr std::array kAccountFeatures{
    //      name       key          of  split          meets          limits          loosen          show          read
    Feature{"user",    "users",     kA, split_user,    meets_user,    limits_user,    loosen_user,    show_user,    read_user},
    Feature{"crypted", "crypted",   kA, split_crypted, meets_crypted, limits_crypted, loosen_crypted, show_crypted, read_crypted},
    Feature{"key",     "key_types", kA, split_keys,    meets_keys,    limits_keys,    loosen_keys,    show_keys,    read_key},
    Feature{"count",   "max_keys",  kA, split_count,   meets_count,   limits_count,   loosen_count,   show_count,   read_count},
    Feature{"reset",   "reset",     kA, split_reset,   meets_reset,   limits_reset,   loosen_reset,   show_reset,   read_reset},
    when_feature(kA),
    time_feature(kA),
};
// clang-format on

}  // namespace

std::span<const Feature> account_features() {
    return kAccountFeatures;
}

}  // namespace sallyport::policy::analyse
