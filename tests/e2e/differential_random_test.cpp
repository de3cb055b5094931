// Random requests, the same to Debian's qemu-ga and to our agent, over a socket and over a terminal. Whatever differs must be
// a row of docs/compatibility.md: a difference that is not listed there, or is not listed any more, fails.
//
// SALLYPORT_RANDOM_COUNT and SALLYPORT_RANDOM_SEED say how many requests and which; `./dev differential` sets them.
#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <boost/json/parse.hpp>
#include <cstdlib>
#include <fstream>
#include <map>
#include <memory>
#include <random>
#include <set>
#include <sstream>
#include <stdexcept>
#include <system_error>

#include "tests/e2e/side_by_side.hpp"
#include "tests/support/cases.hpp"

namespace sallyport::test {
namespace {

namespace json = boost::json;
using Steps = std::vector<std::string>;

long from_environment(const char* name, long otherwise) {
    const char* text = std::getenv(name);
    return text == nullptr ? otherwise : std::strtol(text, nullptr, 10);
}

// The page.

std::set<std::string> rows_of_the_page() {
    std::ifstream page(COMPATIBILITY_PAGE);
    std::set<std::string> topics;
    for (std::string line; std::getline(page, line);)
        if (line.starts_with("| ")) topics.insert(line.substr(2, line.find(" | ", 2) - 2));
    return topics;
}

// Two answers to the same step that differ.
struct Seen {
    const Steps& steps;
    std::size_t at;  // the number of steps: what was left in the folder
    std::string theirs;
    std::string ours;
};

bool has(const Seen& seen, std::string_view text) {
    return seen.at < seen.steps.size() && seen.steps[seen.at].contains(text);
}

constexpr std::string_view kParseError = "\"JSON parse error, ";

bool is_about_syntax(const std::string& line) {
    return line.contains(kParseError) || line.contains("\"QMP input ");
}

std::vector<std::string> lines_without_parse_errors(const std::string& lines) {
    std::istringstream stream(lines);
    std::vector<std::string> kept;
    for (std::string line; std::getline(stream, line);)
        if (!line.contains(kParseError)) kept.push_back(line);
    return kept;
}

std::size_t count_syntax_errors(const std::string& lines) {
    std::istringstream stream(lines);
    std::size_t count = 0;
    for (std::string line; std::getline(stream, line);)
        if (is_about_syntax(line)) ++count;
    return count;
}

std::string without_syntax_errors(const std::string& lines) {
    std::istringstream stream(lines);
    std::string kept;
    for (std::string line; std::getline(stream, line);)
        if (!is_about_syntax(line)) kept += line + "\n";
    return kept;
}

// The values of the lines that are not about syntax; the members of an object in any order.
std::vector<json::value> values_of(const std::string& lines) {
    std::istringstream stream(without_syntax_errors(lines));
    std::vector<json::value> values;
    for (std::string line; std::getline(stream, line);) {
        std::error_code error;
        values.push_back(json::parse(line, error));
        if (error) values.back() = json::string(line);
    }
    return values;
}

// The same members, written the same.
bool has_other_order(const Seen& seen) {
    std::string theirs = without_syntax_errors(seen.theirs);
    std::string ours = without_syntax_errors(seen.ours);
    std::ranges::sort(theirs);
    std::ranges::sort(ours);
    return theirs == ours && values_of(seen.theirs) == values_of(seen.ours) &&
           count_syntax_errors(seen.ours) <= count_syntax_errors(seen.theirs);
}

// Where qemu-ga finds several faults in a bad line, each with an error line of its own, we have one or none. All other
// answers are the same.
bool has_fewer_error_lines(const Seen& seen) {
    return without_syntax_errors(seen.theirs) == without_syntax_errors(seen.ours) &&
           seen.theirs.contains(kParseError) &&
           count_syntax_errors(seen.ours) < count_syntax_errors(seen.theirs);
}

// The same, and besides we answer whole objects within the bad line that qemu-ga does not see. What it answers we do, too.
bool answers_more_of_a_bad_line(const Seen& seen) {
    const auto theirs = values_of(seen.theirs);
    const auto ours = values_of(seen.ours);
    auto next = ours.begin();
    for (const json::value& one : theirs) {
        next = std::find(next, ours.end(), one);
        if (next == ours.end()) return false;
        ++next;
    }
    return seen.theirs.contains(kParseError) && seen.ours.contains(kParseError) &&
           count_syntax_errors(seen.ours) <= count_syntax_errors(seen.theirs);
}

// Both name a fault, of which there are several, and say the same besides.
bool names_another_fault(const Seen& seen) {
    const auto theirs = lines_without_parse_errors(seen.theirs);
    const auto ours = lines_without_parse_errors(seen.ours);
    const auto names_one = [](const std::string& line) {
        return line.contains("\"Parameter '") || line.contains("\"QMP input ");
    };
    return std::ranges::equal(theirs, ours, [&](const std::string& one, const std::string& other) {
        return one == other || (names_one(one) && names_one(other));
    });
}

// Ten digits or more behind the letter of an exponent.
bool has_great_exponent(const Seen& seen) {
    if (seen.at >= seen.steps.size()) return false;
    const std::string& text = seen.steps[seen.at];
    for (std::size_t at = text.find_first_of("eE"); at != std::string::npos;
         at = text.find_first_of("eE", at + 1)) {
        const std::size_t digits = text.find_first_not_of("+-", at + 1);
        if (digits == std::string::npos) return false;
        const std::size_t end = std::min(text.find_first_not_of("0123456789", digits), text.size());
        if (end - digits >= 10) return seen.ours.contains(kParseError);
    }
    return false;
}

std::string handle_in(const std::string& step) {
    const std::size_t at = step.find("\"handle\":");
    return at == std::string::npos ? "" : step.substr(at, step.find_first_of(",}", at) - at);
}

// A write that is not flushed at once, up to the step.
bool has_waiting_data(const Seen& seen) {
    for (std::size_t at = 0; at < std::min(seen.at + 1, seen.steps.size()); ++at) {
        if (!seen.steps[at].contains("guest-file-write")) continue;
        if (at + 1 >= seen.steps.size() || !seen.steps[at + 1].contains("guest-file-flush") ||
            handle_in(seen.steps[at + 1]) != handle_in(seen.steps[at]))
            return true;
    }
    return false;
}

struct Known {
    const char* topic;  // the first cell of its row
    bool (*explains)(const Seen&);
};

// clang-format off
const Known kKnown[] = {
    {"single-quoted strings, the escape `\\'`", [](const Seen& seen) { return has(seen, "'") && seen.ours.contains(kParseError); }},
    {"`\\u0000` in a string", [](const Seen& seen) { return has(seen, "\\u0000") && seen.ours.contains(kParseError); }},
    {"a byte 0xFF", [](const Seen& seen) { return has(seen, "\xff") && has_fewer_error_lines(seen); }},
    {"garbage", answers_more_of_a_bad_line},
    {"bad base64 for an unknown handle", [](const Seen& seen) { return has(seen, "guest-file-write") && seen.ours.contains("Base64") && seen.theirs.contains("has not been found"); }},
    {"written data", has_waiting_data},
    {"several faults in a request object", names_another_fault},
    {"exponents beyond 2,147,483,647", has_great_exponent},
    {"the slow command then", [](const Seen& seen) { return seen.ours.contains("the agent has given up waiting for this request"); }},
    {"order of the members of an object in an echoed `id`", has_other_order},
    {"which commands there are", [](const Seen& seen) { return seen.theirs.contains("supported_commands"); }},
};
// clang-format on

// What is asked.

class Asker {
public:
    explicit Asker(unsigned long seed) : random_(seed) {}

    Steps script() { return chance(60) ? files() : chance(70) ? talk() : garbage(); }

private:
    bool chance(int percent) { return static_cast<int>(random_() % 100) < percent; }
    template <typename List>
    std::string one_of(const List& list) {
        return std::string(list[random_() % std::size(list)]);
    }

    std::string handle() {
        static constexpr std::array kHandles{"$1", "$1", "$1", "$2", "$3", "0", "-1", "9223372036854775807"};
        return one_of(kHandles);
    }
    std::string number() {
        static constexpr std::array kNumbers{"0",
                                             "1",
                                             "5",
                                             "16",
                                             "17",
                                             "-1",
                                             "-3",
                                             "100",
                                             "4096",
                                             "50331648",
                                             "50331649",
                                             "9223372036854775807",
                                             "-9223372036854775808",
                                             "9223372036854775808",
                                             "1.0",
                                             "null",
                                             "\"1\"",
                                             "true",
                                             "[]",
                                             "{}",
                                             "1e3"};
        return chance(60) ? std::to_string(random_() % 64) : one_of(kNumbers);
    }
    std::string path() {
        static constexpr std::array kPaths{
            "text",      "text",        "text",          "empty",    "ten",        "page", "sub",
            "sub/inner", "link",        "sublink/inner", "dangling", "loop",       "hard", "socket",
            "missing",   "new",         "new2",          "nope/new", "text/",      "sub/", "new/",
            "./text",    "sub/../text", "sub//inner",    "sub/deep", "text/below", ""};
        return one_of(kPaths);
    }
    std::string mode() {
        static constexpr std::array kModes{"r",   "r",  "r+",  "w", "w+", "a", "a+", "rb", "rb+", "r+b", "wb",
                                           "w+b", "ab", "a+b", "",  "R",  "x", "rw", "wx", "r++", "b"};
        return one_of(kModes);
    }
    std::string data() {
        static constexpr std::array kData{
            "",   "YQ==", "aGk=",      "aGVsbG8=", "aGVsbG8gd29ybGQ=", "a", "aGk",
            "a!", "====", "aGVs bG8=", "-_-_",     "aGk=aGk="};
        return one_of(kData);
    }
    std::string whence() {
        static constexpr std::array kWhences{"0", "1",  "2",       "\"set\"", "\"cur\"", "\"end\"",
                                             "3", "-1", "\"SET\"", "null",    "1.5"};
        return one_of(kWhences);
    }

    Steps files() {
        // Most writes are flushed at once; else several handles of one file see what waits.
        const bool is_orderly = chance(85);
        const auto where = [&] { return is_orderly ? path() : "text"; };
        Steps steps{open(where(), mode())};
        for (std::size_t more = random_() % 8; more > 0; --more) {
            const std::string which = handle();
            switch (random_() % 7) {
                case 0:
                    steps.push_back(open(where(), mode()));
                    break;
                case 1:
                    steps.push_back(read(which));
                    break;
                case 2:
                    steps.push_back(read(which, number()));
                    break;
                case 3:
                    steps.push_back(seek(which, number(), whence()));
                    break;
                case 4:
                    steps.push_back(chance(50) ? write(which, data()) : write(which, data(), number()));
                    if (is_orderly) steps.push_back(flush(which));
                    break;
                case 5:
                    steps.push_back(flush(which));
                    break;
                default:
                    steps.push_back(close(which));
            }
        }
        return steps;
    }

    std::string value(int depth = 0) {
        static constexpr std::array kValues{"null",
                                            "true",
                                            "false",
                                            "0",
                                            "-0",
                                            "1",
                                            "-12",
                                            "2.5",
                                            "0.1",
                                            "1.0",
                                            "1E2",
                                            "1e-5",
                                            "1e22",
                                            "9223372036854775807",
                                            "9223372036854775808",
                                            "18446744073709551616",
                                            "\"\"",
                                            "\"x\"",
                                            "\"\\u00e9\"",
                                            "\"\\ud83d\\ude00\"",
                                            "\"\\b\\f\\n\\r\\t\\\"\\\\\\/\"",
                                            "\"\xc3\xa9\"",
                                            "\"</>&\"",
                                            "\"\\u0001\"",
                                            "-0.0",
                                            "5e-324",
                                            "[]",
                                            "{}"};
        if (depth > 3 || chance(70)) return one_of(kValues);
        if (chance(50)) return "[" + value(depth + 1) + "," + value(depth + 1) + "]";
        return "{\"a\":" + value(depth + 1) + ",\"b\":" + value(depth + 1) + "}";
    }

    std::string request() {
        static constexpr std::array kNames{"guest-ping",
                                           "guest-ping",
                                           "guest-sync",
                                           "guest-sync",
                                           "guest-sync-delimited",
                                           "guest-nothing",
                                           "guest-get-host-name",
                                           "guest-get-osinfo",
                                           "guest-get-timezone",
                                           "guest-get-users",
                                           "guest-get-memory-block-info",
                                           "guest-fsfreeze-status",
                                           "guest-file-close",
                                           "guest-file-read",
                                           "guest-file-flush",
                                           "guest-Ping",
                                           "",
                                           "guest-info"};
        static constexpr std::array kMembers{"id", "id", "id", "handle", "count", "x", "ID", ""};
        std::vector<std::string> parts;
        if (!chance(3))
            parts.push_back("\"execute\":" + (chance(97) ? "\"" + one_of(kNames) + "\"" : value()));
        if (chance(50)) {
            std::string arguments = "{";
            const auto count = random_() % 3;
            std::set<std::string> used;
            for (std::size_t at = 0; at < count; ++at)
                if (const std::string name = one_of(kMembers); used.insert(name).second)
                    arguments += (arguments.size() > 1 ? ",\"" : "\"") + name +
                                 "\":" + (chance(50) ? number() : value());
            parts.push_back("\"arguments\":" + (chance(95) ? arguments + "}" : value()));
        }
        if (chance(40)) parts.push_back("\"id\":" + value());
        if (chance(3)) parts.push_back("\"" + one_of(kMembers) + "x\":" + value());
        std::shuffle(parts.begin(), parts.end(), random_);
        std::string text = "{";
        for (const std::string& part : parts) text += (text.size() > 1 ? "," : "") + part;
        return text + "}";
    }

    Steps talk() {
        Steps steps;
        for (std::size_t more = random_() % 4 + 1; more > 0; --more)
            steps.push_back(request() + (chance(20) ? "\r\n" : chance(20) ? request() : "\n"));
        return steps;
    }

    // A request with some bytes changed. The line's end and the byte 0xFF leave nothing behind for the next.
    Steps garbage() {
        static constexpr std::string_view kBytes = "{}[]:,\"\\'0159eE+-. \t\nnulltruefalsX/\x01\x7f\xc3\xff";
        std::string text = request();
        for (std::size_t more = random_() % 3 + 1; more > 0; --more) {
            const std::size_t at = random_() % text.size();
            const char byte = kBytes[random_() % kBytes.size()];
            switch (random_() % 3) {
                case 0:
                    text[at] = byte;
                    break;
                case 1:
                    text.insert(at, 1, byte);
                    break;
                default:
                    text.erase(at, 1);
                    if (text.empty()) text = "{";
            }
        }
        return {text + "\n\xff\n"};
    }

    std::mt19937_64 random_;
};

struct Result {
    long requests = 0;
    std::map<std::string, int> listed;  // by topic
    std::vector<std::string> unlisted;
};

void judge(const Seen& seen, const std::set<std::string>& page, Result& result) {
    for (const Known& known : kKnown)
        if (known.explains(seen) && page.contains(known.topic)) {
            ++result.listed[known.topic];
            return;
        }
    std::string text;
    for (std::size_t at = 0; at < std::min(seen.at + 1, seen.steps.size()); ++at)
        text += seen.steps[at] + "\n";
    result.unlisted.push_back(text + "  qemu-ga: " + seen.theirs + "\n  ours:    " + seen.ours);
}

// What follows a difference may differ because of it.
void judge_script(const Steps& steps, const Outcome& theirs, const Outcome& ours,
                  const std::set<std::string>& page, Result& result) {
    for (std::size_t at = 0; at < steps.size(); ++at) {
        const Seen seen{steps, at, without_parse_texts(theirs.replies[at]),
                        without_parse_texts(ours.replies[at])};
        if (seen.theirs != seen.ours) return judge(seen, page, result);
    }
    if (theirs.folder != ours.folder) judge({steps, steps.size(), theirs.folder, ours.folder}, page, result);
}

// What both answer; says what was asked if one of them does not.
std::pair<Outcome, Outcome> outcomes(SideBySide& pair, const Steps& steps) {
    const char* asked = "qemu-ga";
    try {
        Outcome theirs = pair.ask_qemu(steps);
        asked = "ours";
        return {std::move(theirs), pair.ask_ours(steps)};
    } catch (const std::exception& error) {
        std::string text;
        for (const std::string& step : steps) text += step + "\n";
        throw std::runtime_error(std::string(asked) + ": " + error.what() + ", after\n" + text);
    }
}

Result ask_both(Wire wire, long count, unsigned long seed, const std::set<std::string>& page) {
    SideBySide pair(wire);
    Asker asker(seed);
    Result result;
    while (result.requests < count && result.unlisted.size() < 10) {
        const Steps steps = asker.script();
        const auto [theirs, ours] = outcomes(pair, steps);
        judge_script(steps, theirs, ours, page, result);
        result.requests += static_cast<long>(steps.size());
    }
    return result;
}

struct Case {
    const char* name;
    Wire wire;
};

class RandomRequests : public testing::TestWithParam<Case> {};

TEST_P(RandomRequests, DifferOnlyAsThePageSays) {
    const long count = from_environment("SALLYPORT_RANDOM_COUNT", 600);
    const long seed = from_environment("SALLYPORT_RANDOM_SEED", 1);
    const Result result =
        ask_both(GetParam().wire, count, static_cast<unsigned long>(seed), rows_of_the_page());
    std::printf("%s: %ld requests, seed %ld\n", GetParam().name, result.requests, seed);
    for (const auto& [topic, times] : result.listed) std::printf("  %6d  %s\n", times, topic.c_str());
    for (const std::string& one : result.unlisted) ADD_FAILURE() << "not in docs/compatibility.md:\n" << one;
    EXPECT_GE(result.requests, count);
}
const Case kWires[] = {{"Socket", Wire::kSocket}, {"Terminal", Wire::kTerminal}};
INSTANTIATE_TEST_SUITE_P(, RandomRequests, testing::ValuesIn(kWires), case_name<Case>);

TEST(KnownDifferences, AreRowsOfThePage) {
    const auto page = rows_of_the_page();
    for (const Known& known : kKnown) EXPECT_TRUE(page.contains(known.topic)) << known.topic;
}

// Without its row a difference is one that nobody listed.
TEST(KnownDifferences, OneWithoutARowFails) {
    EXPECT_TRUE(ask_both(Wire::kSocket, 300, 1, rows_of_the_page()).unlisted.empty());
    EXPECT_FALSE(ask_both(Wire::kSocket, 300, 1, {}).unlisted.empty());
}

}  // namespace
}  // namespace sallyport::test
