// What a log has needed of a policy, and the policy that is left when the rest is taken away. Constant memory.
// Runs in:  the policy tool, after lockdown_compiler()
// Input:    requests that a host has chosen
//
// Whatever is learnt is a part of what the policy allows: rules lose commands, entries, words and users, and gain nothing. So what it
// refuses stays refused; whoever prints the result proves that once more.
#pragma once

#include <bitset>
#include <cstddef>
#include <cstdint>
#include <map>
#include <set>
#include <string>
#include <vector>

#include "policy/policy.pb.h"
#include "policy/tool/analyse/decider.hpp"
#include "policy/tool/log/replay.hpp"

namespace sallyport::policy::log {

/// Paths, and directories of which so many were seen that the rest of them is taken to be meant, too.
class Paths {
public:
    enum : std::uint8_t { kRead = 1, kWrite = 2 };
    /// False if there are too many to be kept, even in groups.
    bool add(const std::string& path, std::uint8_t access);
    /// Replaces files that are many in one directory by the directory. What lies in "/" itself stays as it is.
    void group();
    /// Files and directories with the access that was seen.
    [[nodiscard]] std::map<std::string, std::uint8_t> all() const;

private:
    void group(std::size_t more_than);
    bool make_room();
    bool is_full_ = false;  // nothing that is here can be grouped any more
    std::map<std::string, std::uint8_t> files_;
    std::map<std::string, std::uint8_t> directories_;
};

/// The words of a program in one place of its line.
class Words {
public:
    void add(const std::string& word);
    /// A place that takes all of them; false if nothing but any word would.
    [[nodiscard]] bool place(ipc::ExecWord& to) const;
    [[nodiscard]] const std::set<std::string>& all() const { return words_; }
    [[nodiscard]] bool is_complete() const { return is_complete_; }

private:
    std::set<std::string> words_;  // the first ones
    bool is_complete_ = true;      // there were no others
    bool are_numbers_ = true;
    bool are_names_ = true;
    std::int64_t least_ = INT64_MAX;
    std::int64_t most_ = INT64_MIN;
    std::size_t longest_ = 0;
    std::string common_;  // directory of all of them, if they are paths
    bool are_paths_ = true;
};

/// Lines of one program with one number of words.
struct CommandLines {
    std::set<std::vector<std::string>> lines;  // the first ones
    bool is_complete = true;
    std::vector<Words> places;
};

struct ProgramUse {
    std::map<std::pair<std::string, std::size_t>, CommandLines> lines;  // by program and number of words
    std::set<std::string> env;
    std::uint64_t input = 0;
};

struct RuleUse {
    std::uint64_t count = 0;
    WallTime first = 0;
    WallTime last = 0;
    CommandSet commands;
    std::map<std::size_t, Paths> files;          // by entry
    std::map<std::size_t, ProgramUse> programs;  // the same
    std::bitset<4> modes;
    std::set<std::string> users;
    std::set<std::string> keys;  // options and type
    bool has_plain_password = false;
    bool has_reset = false;
    bool from_hardware_clock = false;
    std::uint64_t step_ms = 0;
    std::set<std::uint64_t> cpus;
    std::set<std::uint64_t> blocks;
};

class Learnt {
public:
    /// A request that the policy allows, and that was not taken before. False if it is one too many of its kind, and was not kept.
    bool take(const Answer& answer, const analyse::Request& request);
    /// Each time that there is one.
    void count(const Answer& answer, WallTime time);
    /// What is left of `from`, whose rules have the places by which requests were decided.
    [[nodiscard]] compiled::Compiled narrowed(const compiled::Compiled& from);
    [[nodiscard]] const std::map<std::size_t, RuleUse>& rules() const { return rules_; }

private:
    std::map<std::size_t, RuleUse> rules_;
};

}  // namespace sallyport::policy::log
