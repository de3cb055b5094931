// What an `exec` table looks at.
#include <algorithm>
#include <array>
#include <set>

#include "policy/exec.hpp"
#include "policy/tool/analyse/feature.hpp"

namespace sallyport::policy::analyse {

namespace {

std::string fresh_word(std::string_view stem, const std::set<std::string>& taken) {
    std::string text(stem);
    for (std::size_t number = 1; taken.contains(text); ++number)
        text = std::string(stem) + std::to_string(number);
    return text;
}

void split_program(const Alive& alive, Request& request, const Visit& visit) {
    std::set<std::string> programs;
    for (const Clause* clause : alive)
        if (clause->exec != nullptr && !clause->exec->program().empty())
            programs.insert(clause->exec->program());
    programs.insert(fresh_word("/other", programs));
    for (const std::string& program : programs) {
        request.exec.program = program;
        visit();
    }
}

bool meets_program(const Clause& clause, const Request& request) {
    return clause.exec == nullptr || clause.exec->program().empty() ||
           clause.exec->program() == request.exec.program;
}

bool limits_program(const Clause& clause) {
    return clause.exec != nullptr && !clause.exec->program().empty();
}

void loosen_program(Rule& rule, std::size_t entry) {
    rule.exec[static_cast<std::size_t>(entry)].clear_program();
}

std::string show_program(const Request& request) {
    return request.exec.program;
}

bool read_program(Request& request, const std::string& word) {
    request.exec.program = word;
    return !word.empty();
}

/// The places that alive clauses have at one position.
using Places = std::vector<const ipc::ExecWord*>;

void add_numbers(const Places& places, std::set<std::string>& words) {
    std::set<std::int64_t> edges;
    for (const ipc::ExecWord* place : places) {
        if (place->has_number()) {
            edges.insert(place->number().least());
            edges.insert(place->number().most());
            if (place->number().most() != INT64_MAX) edges.insert(place->number().most() + 1);
        }
        // Up to so many digits a number is also a name.
        std::int64_t power = 1;
        for (std::uint32_t digits = 0; place->has_name() && digits <= place->name(); ++digits) {
            edges.insert({power - 1, power, -1, 0});
            if (digits >= 18) break;
            power *= 10;
        }
    }
    for (const std::int64_t edge : edges) words.insert(std::to_string(edge));
}

void add_names(const Places& places, std::set<std::string>& words) {
    std::set<std::string> literals;
    for (const ipc::ExecWord* place : places) {
        if (place->has_text()) literals.insert(place->text());
        if (place->has_one_of())
            literals.insert(place->one_of().text().begin(), place->one_of().text().end());
    }
    for (const ipc::ExecWord* place : places) {
        if (!place->has_name()) continue;
        // A letter of which no literal of this length consists.
        for (const std::size_t size : {std::size_t{place->name()}, std::size_t{place->name()} + 1})
            for (const char letter : std::string_view("abcdefghijklmnopqrstuvwxyz")) {
                const std::string name(size, letter);
                if (literals.contains(name)) continue;
                words.insert(name);
                break;
            }
    }
    words.merge(literals);
}

void add_paths(const Places& places, std::set<std::string>& words) {
    std::set<std::string> named = words;
    for (const ipc::ExecWord* place : places)
        if (place->has_under()) named.insert(place->under());
    for (const ipc::ExecWord* place : places) {
        if (!place->has_under()) continue;
        words.insert(place->under());
        words.insert(fresh_word(place->under() == "/" ? "/file" : place->under() + "/file", named));
    }
}

/// A word of each class that the places tell apart.
std::set<std::string> words_for(const Places& places) {
    std::set<std::string> words;
    add_numbers(places, words);
    add_names(places, words);
    add_paths(places, words);
    words.insert(fresh_word("another word", words));
    return words;
}

bool has_place(const Clause& clause, const std::string& word, std::size_t at) {
    if (clause.exec == nullptr || clause.exec->any_args()) return true;
    return at < static_cast<std::size_t>(clause.exec->args_size()) &&
           accepts(clause.exec->args(static_cast<int>(at)), word);
}

// Word after word; those who stay are looked at alone, so that no product of all words comes about.
void split_words(const Alive& alive, std::size_t count, Request& request, const Visit& visit) {
    const std::size_t at = request.exec.args.size();
    if (at == count) return visit();
    Places places;
    for (const Clause* clause : alive)
        if (clause->exec != nullptr && !clause->exec->any_args())
            places.push_back(&clause->exec->args(static_cast<int>(at)));
    std::set<Alive> seen;
    for (const std::string& word : words_for(places)) {
        Alive left;
        std::ranges::copy_if(alive, std::back_inserter(left),
                             [&](const Clause* clause) { return has_place(*clause, word, at); });
        if (!seen.insert(left).second) continue;
        request.exec.args.push_back(word);
        split_words(left, count, request, visit);
        request.exec.args.resize(at);
    }
}

void split_args(const Alive& alive, Request& request, const Visit& visit) {
    std::set<std::size_t> counts{0};
    for (const Clause* clause : alive)
        if (clause->exec != nullptr) counts.insert(static_cast<std::size_t>(clause->exec->args_size()));
    counts.insert(*counts.rbegin() + 1);
    for (const std::size_t count : counts) {
        Alive left;
        std::ranges::copy_if(alive, std::back_inserter(left), [&](const Clause* clause) {
            return clause->exec == nullptr || clause->exec->any_args() ||
                   static_cast<std::size_t>(clause->exec->args_size()) == count;
        });
        request.exec.args.clear();
        split_words(left, count, request, visit);
    }
}

bool meets_args(const Clause& clause, const Request& request) {
    if (clause.exec == nullptr || clause.exec->any_args()) return true;
    const auto& args = request.exec.args;
    if (args.size() != static_cast<std::size_t>(clause.exec->args_size())) return false;
    for (std::size_t at = 0; at < args.size(); ++at)
        if (!has_place(clause, args[at], at)) return false;
    return true;
}

bool limits_args(const Clause& clause) {
    return clause.exec != nullptr && !clause.exec->any_args();
}

void loosen_args(Rule& rule, std::size_t entry) {
    rule.exec[entry].clear_args();
    rule.exec[entry].set_any_args(true);
}

std::string show_args(const Request& request) {
    std::string text;
    for (const std::string& word : request.exec.args) text.append(text.empty() ? "" : "\n").append(word);
    return text;
}

// Each word of its own: arg=--unit arg=db.
bool read_arg(Request& request, const std::string& word) {
    request.exec.args.push_back(word);
    return true;
}

using Names = std::set<std::string>;

// Every set of names that tells clauses apart is the names that some of them have in common, or has one that none knows.
void split_env(const Alive& alive, Request& request, const Visit& visit) {
    std::set<Names> sets{Names{}};
    Names all;
    for (const Clause* clause : alive) {
        if (clause->exec == nullptr) continue;
        const Names own(clause->exec->host_env().begin(), clause->exec->host_env().end());
        all.insert(own.begin(), own.end());
        std::set<Names> met{own};
        for (const Names& one : sets) {
            Names both;
            std::ranges::set_intersection(one, own, std::inserter(both, both.end()));
            met.insert(std::move(both));
        }
        sets.merge(met);
    }
    sets.insert(Names{fresh_word("OTHER", all)});
    request.exec.env.reset();
    visit();
    for (const Names& names : sets) {
        request.exec.env.emplace();
        for (const std::string& name : names) request.exec.env->push_back(name + "=1");
        visit();
    }
}

bool meets_env(const Clause& clause, const Request& request) {
    if (clause.exec == nullptr || clause.exec->any_env() || !request.exec.env) return true;
    Names seen;
    return std::ranges::all_of(*request.exec.env, [&](const std::string& one) {
        const std::size_t end = one.find('=');
        const std::string name = one.substr(0, end);
        return end != one.npos && seen.insert(name).second &&
               std::ranges::find(clause.exec->host_env(), name) != clause.exec->host_env().end();
    });
}

bool limits_env(const Clause& clause) {
    return clause.exec != nullptr && !clause.exec->any_env();
}

void loosen_env(Rule& rule, std::size_t entry) {
    rule.exec[entry].clear_host_env();
    rule.exec[entry].set_any_env(true);
}

std::string show_env(const Request& request) {
    if (!request.exec.env) return "";
    std::string text;
    for (const std::string& one : *request.exec.env) text.append(text.empty() ? "" : "\n").append(one);
    return text;
}

bool read_env(Request& request, const std::string& word) {
    if (!request.exec.env) request.exec.env.emplace();
    if (!word.empty()) request.exec.env->push_back(word);
    return true;
}

void split_input(const Alive& alive, Request& request, const Visit& visit) {
    std::set<std::uint64_t> sizes{0};
    for (const Clause* clause : alive)
        if (clause->exec != nullptr)
            sizes.insert({clause->exec->input(), std::uint64_t{clause->exec->input()} + 1});
    request.exec.input.reset();
    visit();
    for (const std::uint64_t size : sizes) {
        request.exec.input = size;
        visit();
    }
}

bool meets_input(const Clause& clause, const Request& request) {
    if (clause.exec == nullptr || !request.exec.input) return true;
    return clause.exec->input() != 0 && *request.exec.input <= clause.exec->input();
}

bool limits_input(const Clause& clause) {
    return clause.exec != nullptr;
}

void loosen_input(Rule& rule, std::size_t entry) {
    rule.exec[entry].set_input(kMaxExecInput);
}

std::string show_input(const Request& request) {
    return request.exec.input ? std::to_string(*request.exec.input) : "";
}

bool read_input(Request& request, const std::string& word) {
    request.exec.input = read_size(word);
    return request.exec.input.has_value();
}

constexpr Subject kE = Subject::kExec;

// clang-format off
constexpr std::array kExecFeatures{
    //      name       key         of  split          meets          limits          loosen          show          read
    Feature{"program", "program",  kE, split_program, meets_program, limits_program, loosen_program, show_program, read_program},
    Feature{"arg",     "args",     kE, split_args,    meets_args,    limits_args,    loosen_args,    show_args,    read_arg},
    Feature{"env",     "host_env", kE, split_env,     meets_env,     limits_env,     loosen_env,     show_env,     read_env},
    Feature{"input",   "input",    kE, split_input,   meets_input,   limits_input,   loosen_input,   show_input,   read_input},
    when_feature(kE),
    time_feature(kE),
};
// clang-format on

}  // namespace

std::span<const Feature> exec_features() {
    return kExecFeatures;
}

}  // namespace sallyport::policy::analyse
