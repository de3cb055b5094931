// Runs in:  broker; the launcher, again and by its own copy of the templates; the policy tool
#include "policy/exec.hpp"

#include <algorithm>
#include <charconv>

#include "policy/check_rule.hpp"
#include "policy/guest_path.hpp"

namespace sallyport::policy {

namespace {

constexpr std::string_view kNameLetters = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_.";

bool has_nul(std::string_view text) {
    return text.find('\0') != text.npos;
}

// Only the canonical form, so that no two words mean the same number.
bool is_number(const ipc::ExecWord::Range& range, std::string_view word) {
    std::int64_t value = 0;
    const char* const end = word.data() + word.size();
    const auto [stopped, error] = std::from_chars(word.data(), end, value);
    return error == std::errc{} && stopped == end && std::to_string(value) == word &&
           value >= range.least() && value <= range.most();
}

bool is_under(std::string_view directory, std::string_view word) {
    if (!word.starts_with('/')) return false;
    const auto path = GuestPath::parse(word, "/");
    return path && path->text() == word && word != directory && path->is_within(directory);
}

bool is_name(std::size_t most, std::string_view word) {
    return !word.empty() && word.size() <= most && word.front() != '-' && word != "." && word != ".." &&
           word.find_first_not_of(kNameLetters) == word.npos;
}

bool is_fixed(const ipc::ExecWord& place) {
    return place.kind_case() == ipc::ExecWord::kText;
}

bool match_args(const ipc::ExecTemplate& by, const ExecWords& args, ExecWords& values) {
    if (std::ranges::any_of(args, has_nul)) return false;
    if (by.any_args()) {
        values = args;
        return true;
    }
    if (args.size() != static_cast<std::size_t>(by.args_size())) return false;
    for (std::size_t at = 0; at < args.size(); ++at) {
        const ipc::ExecWord& place = by.args(static_cast<int>(at));
        if (!accepts(place, args[at])) return false;
        if (!is_fixed(place)) values.push_back(args[at]);
    }
    return true;
}

// Programs differ in how they read a name that is set twice.
bool match_env(const ipc::ExecTemplate& by, const std::optional<ExecWords>& env) {
    if (!env) return true;
    if (std::ranges::any_of(*env, has_nul)) return false;
    if (by.any_env()) return true;
    ExecWords names;
    for (const std::string_view one : *env) {
        const std::string_view name = one.substr(0, one.find('='));
        if (name.size() == one.size() || std::ranges::find(names, name) != names.end()) return false;
        if (std::ranges::find(by.host_env(), name) == by.host_env().end()) return false;
        names.push_back(name);
    }
    return true;
}

Status check_word(const ipc::ExecWord& word) {
    const auto is_long = [](std::string_view text) { return text.size() > kMaxExecWord || has_nul(text); };
    switch (word.kind_case()) {
        case ipc::ExecWord::kText:
            return is_long(word.text()) ? failure(Errc::kInvalid, "policy: bad word") : Status();
        case ipc::ExecWord::kOneOf: {
            const auto& texts = word.one_of().text();
            return texts.empty() || std::ranges::any_of(texts, is_long)
                       ? failure(Errc::kInvalid, "policy: bad word")
                       : Status();
        }
        case ipc::ExecWord::kNumber:
            return word.number().least() > word.number().most() ? failure(Errc::kInvalid, "policy: bad range")
                                                                : Status();
        case ipc::ExecWord::kUnder:
            return is_directory_name(word.under()) ? Status()
                                                   : failure(Errc::kInvalid, "policy: bad directory");
        case ipc::ExecWord::kName:
            return word.name() == 0 || word.name() > kMaxExecWord
                       ? failure(Errc::kInvalid, "policy: bad length")
                       : Status();
        case ipc::ExecWord::KIND_NOT_SET:
            break;
    }
    return failure(Errc::kInvalid, "policy: bad word");
}

bool is_assignment(std::string_view text) {
    const std::size_t end = text.find('=');
    return end != text.npos && end > 0 && !has_nul(text);
}

bool is_bounded(const ipc::ExecTemplate& from) {
    return from.input() <= kMaxExecInput && from.output() >= 1 && from.output() <= kMaxExecOutput &&
           from.max_runtime_ms() >= 1 && from.max_runtime_ms() <= kMaxExecMs && from.concurrent() >= 1 &&
           from.concurrent() <= kMaxConcurrent;
}

bool is_env_name(std::string_view name) {
    return !name.empty() && name.find('=') == name.npos && !has_nul(name);
}

}  // namespace

ExecTemplates exec_templates(const Policy& policy) {
    ExecTemplates all;
    for (const Rule& rule : policy.rules) {
        const auto times = times_of(policy, rule, CommandId::kExec);
        if (!times) continue;
        for (const ipc::ExecTemplate& one : rule.exec) {
            ipc::ExecTemplate& to = *all.Add();
            to = one;
            to.set_rule(rule.id);
            *to.mutable_times() = *times;
        }
    }
    return all;
}

bool accepts(const ipc::ExecWord& place, std::string_view word) {
    switch (place.kind_case()) {
        case ipc::ExecWord::kText:
            return word == place.text();
        case ipc::ExecWord::kOneOf:
            return std::ranges::find(place.one_of().text(), word) != place.one_of().text().end();
        case ipc::ExecWord::kNumber:
            return is_number(place.number(), word);
        case ipc::ExecWord::kUnder:
            return is_under(place.under(), word);
        case ipc::ExecWord::kName:
            return is_name(place.name(), word);
        case ipc::ExecWord::KIND_NOT_SET:
            break;
    }
    return false;
}

ExecMatch match_exec(const ipc::ExecTemplate& by, const ExecRequest& want, Moment now) {
    ExecMatch match;
    const bool is_any = by.program().empty() && !has_nul(want.program);
    if (!is_any && want.program != by.program()) return {.miss = ExecMiss::kProgram, .values = {}};
    if (!ipc::is_time(by.times(), now)) return {.miss = ExecMiss::kTime, .values = {}};
    if (!match_args(by, want.args, match.values)) return {.miss = ExecMiss::kArgs, .values = {}};
    if (!match_env(by, want.env)) return {.miss = ExecMiss::kEnv, .values = {}};
    if (want.input && (by.input() == 0 || *want.input > by.input()))
        return {.miss = ExecMiss::kInput, .values = {}};
    match.miss = ExecMiss::kNothing;
    return match;
}

ExecDecision decide_exec(const ExecTemplates& templates, const ExecRequest& want, Moment now) {
    ExecDecision decision;
    for (int at = 0; at < templates.size(); ++at) {
        ExecMatch match = match_exec(templates[at], want, now);
        decision.miss = std::max(decision.miss, match.miss);
        if (match.miss != ExecMiss::kNothing) continue;
        decision.at = at;
        decision.values = std::move(match.values);
        break;
    }
    return decision;
}

std::optional<ExecWords> fill_in(const ipc::ExecTemplate& by, const ExecWords& values) {
    if (by.any_args()) return values;
    ExecWords args;
    auto next = values.begin();
    for (const ipc::ExecWord& place : by.args()) {
        if (!is_fixed(place) && next == values.end()) return std::nullopt;
        args.push_back(is_fixed(place) ? std::string_view(place.text()) : *next++);
    }
    if (next != values.end()) return std::nullopt;
    return args;
}

Status check_template(const ipc::ExecTemplate& from) {
    if (!from.program().empty() && !is_directory_name(from.program()))
        return failure(Errc::kInvalid, "policy: bad program");
    for (const ipc::ExecWord& word : from.args()) TRY(check_word(word));
    const bool has_both = (from.any_args() && !from.args().empty()) ||
                          (from.any_env() && !from.host_env().empty()) ||
                          (from.program().empty() && !from.any_args());
    if (has_both) return failure(Errc::kInvalid, "policy: a template with any words, and some");
    if (!is_bounded(from)) return failure(Errc::kInvalid, "policy: a program's limits are out of bounds");
    if (!std::ranges::all_of(from.env(), is_assignment) || !std::ranges::all_of(from.host_env(), is_env_name))
        return failure(Errc::kInvalid, "policy: bad environment");
    const ipc::ExecConfine& confine = from.confine();
    if (!std::ranges::all_of(confine.write(), is_directory_name) ||
        (!confine.write().empty() && !confine.no_new_privileges()))
        return failure(Errc::kInvalid, "policy: bad confinement");
    // With (uid_t)-1 the kernel would leave the user root.
    constexpr std::uint32_t kNobody = 0xFFFFFFFF;
    if (from.uid() == kNobody || from.gid() == kNobody ||
        std::ranges::find(from.groups(), kNobody) != from.groups().end())
        return failure(Errc::kInvalid, "policy: a program of nobody's");
    if (std::ranges::adjacent_find(from.groups(), std::ranges::greater_equal{}) != from.groups().end())
        return failure(Errc::kInvalid, "policy: groups not ascending");
    const bool has_own = !from.rule().empty() || from.has_times();
    return has_own ? failure(Errc::kInvalid, "policy: a template with terms of its rule") : Status();
}

}  // namespace sallyport::policy
