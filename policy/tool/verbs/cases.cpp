#include "policy/tool/verbs/cases.hpp"

#include <toml++/toml.h>

#include <algorithm>
#include <array>

#include "policy/tool/analyse/words.hpp"
#include "policy/tool/compile/effective.hpp"
#include "policy/tool/compile/problems.hpp"
#include "policy/tool/compile/reader.hpp"
#include "policy/tool/verbs/request_text.hpp"

namespace sallyport::policy::cli {

namespace {

using compile::place_of;

constexpr std::array<std::string_view, 1> kKeys{"case"};
constexpr std::array<std::string_view, 4> kCaseKeys{"request", "expect", "rule", "why"};
constexpr std::array kVerdicts{compile::Choice{"allow", 1}, compile::Choice{"refuse", 0}};

/// The words of a line; what is between single quotes is one, as in a shell.
std::vector<std::string> split(std::string_view line) {
    std::vector<std::string> words;
    bool is_quoted = false, is_word = false;
    for (const char c : line) {
        if (c == '\'') is_quoted = !is_quoted;
        if (c == ' ' && !is_quoted) {
            is_word = false;
            continue;
        }
        if (!is_word) words.emplace_back();
        is_word = true;
        if (c != '\'') words.back() += c;
    }
    return words;
}

std::expected<analyse::Request, std::string> read_request(std::string_view text,
                                                          const analyse::Request& from) {
    return text.starts_with('{') ? read_host_line(text, from) : analyse::read_words(split(text), from);
}

void read_case(compile::Reader& reader, const toml::table& table, WallTime now, std::vector<Case>& to) {
    reader.only_keys(table, kCaseKeys, "a case");
    Case one{.request = {.time = now}, .line = place_of(table).line};
    for (const std::string_view key : {"request", "expect"})
        if (!table.contains(key)) reader.problem(place_of(table), "a case needs '" + std::string(key) + "'");
    reader.text(table, "why");
    if (const auto text = reader.text(table, "request")) {
        const auto request = read_request(*text, one.request);
        if (request)
            one.request = *request;
        else
            reader.problem(place_of(*table.get("request")), request.error());
    }
    one.is_allowed = reader.choice(table, "expect", kVerdicts).value_or(0) != 0;
    one.rule = reader.text(table, "rule").value_or("");
    to.push_back(std::move(one));
}

}  // namespace

std::expected<std::vector<Case>, std::string> read_cases(std::string_view text, std::string_view name,
                                                         WallTime now) {
    compile::Problems problems(name);
    compile::Reader reader(problems);
    std::vector<Case> cases;
    try {
        const toml::table document = toml::parse(text);
        reader.only_keys(document, kKeys, "a file of cases");
        if (const toml::array* list = reader.list(document, "case"))
            for (const toml::node& element : *list) {
                if (const toml::table* table = element.as_table())
                    read_case(reader, *table, now, cases);
                else
                    reader.wrong_type(element, "case", "a list of cases, each under [[case]]");
            }
    } catch (const toml::parse_error& error) {
        const auto& begin = error.source().begin;
        problems.add({begin.line, begin.column}, error.description());
    }
    if (!problems.is_empty()) return std::unexpected(problems.report());
    return cases;
}

std::string case_text(const Policy& policy, const analyse::Outcome& outcome, std::string_view line) {
    std::string text = "[[case]]\nrequest = " + compile::toml_string(line) + "\nexpect = \"" +
                       (outcome.is_allowed() ? "allow" : "refuse") + "\"\n";
    if (outcome.rule != kNoRule)
        text += "rule = " + compile::toml_string(policy.rules[outcome.rule].id) + "\n";
    return text;
}

}  // namespace sallyport::policy::cli
