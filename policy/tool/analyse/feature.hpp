// The features of a request: all that a decision looks at, one row each. A new constraint of the language is a row here.
// Runs in:  the policy tool
#pragma once

#include <functional>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "policy/tool/analyse/clause.hpp"
#include "policy/tool/analyse/request.hpp"

namespace sallyport::policy::analyse {

using Alive = std::vector<const Clause*>;
using Visit = std::function<void()>;

/// `split` gives the feature one value after the other in the request, so that each set of clauses which any value meets is met
/// by one that was given. It may look at values of the features in the rows before. Neighbours with one `split` are about one value.
struct Feature {
    std::string_view name;  // in a request that is given by words: "size"
    std::string_view key;   // in a rule: "max_size"
    Subject subject;
    void (*split)(const Alive& alive, Request& request, const Visit& visit);
    bool (*meets)(const Clause& clause, const Request& request);
    bool (*limits)(const Clause& clause);           // whether some value does not meet the clause
    void (*loosen)(Rule& rule, std::size_t entry);  // takes the limit away
    std::string (*show)(const Request& request);    // empty: nothing to be said
    bool (*read)(Request& request, const std::string& word);
};

/// Rows of one subject, in the order in which requests are split; the time, which every command has, comes last.
std::span<const Feature> features_of(Subject subject);

/// The rows of the families, each in a file of its own.
std::span<const Feature> file_features();
std::span<const Feature> exec_features();
std::span<const Feature> mount_features();
std::span<const Feature> reply_features();
std::span<const Feature> account_features();
std::span<const Feature> clock_features();
std::span<const Feature> processor_features();
std::span<const Feature> block_features();
std::span<const Feature> shutdown_features();
std::span<const Feature> plain_features();

/// The word of a policy for a member of a reply.
std::string_view member_word(int member);

// What every row of a family needs.
std::string show_flag(bool value);
bool read_flag(bool& to, const std::string& word);
/// Bytes: "100", "64KiB", "1GiB".
std::optional<std::uint64_t> read_size(const std::string& word);
/// "2030-01-31T00:00:00Z".
std::string show_time(WallTime time);
std::optional<WallTime> read_time(const std::string& word);

// The time, which every rule may end at, and outside of whose hours it may not count.
void split_time(const Alive& alive, Request& request, const Visit& visit);
bool meets_time(const Clause& clause, const Request& request);
bool limits_time(const Clause& clause);
void loosen_time(Rule& rule, std::size_t entry);
std::string show_time_of(const Request& request);
bool read_time_of(Request& request, const std::string& word);
bool meets_when(const Clause& clause, const Request& request);
bool limits_when(const Clause& clause);
void loosen_when(Rule& rule, std::size_t entry);
std::string show_nothing(const Request& request);

/// The rows that a family ends with.
inline constexpr Feature when_feature(Subject subject) {
    return {"time",      "when",      subject,      split_time,  meets_when,
            limits_when, loosen_when, show_nothing, read_time_of};
}
inline constexpr Feature time_feature(Subject subject) {
    return {"time",      "expires",   subject,      split_time,  meets_time,
            limits_time, loosen_time, show_time_of, read_time_of};
}

/// Whether every feature of the request meets the clause, which is about its command.
bool meets(const Clause& clause, const Request& request);

}  // namespace sallyport::policy::analyse
