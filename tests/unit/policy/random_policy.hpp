// Policies and requests at random, out of a universe so small that they meet.
#pragma once

#include <optional>
#include <random>
#include <string>
#include <vector>

#include "policy/decide.hpp"
#include "policy/tool/analyse/request.hpp"

namespace sallyport::policy::random {

/// The first moment that requests are made at, and the moments at which rules expire.
inline constexpr WallTime kFirst = 1'700'000'000;
inline constexpr WallTime kMoments[] = {kFirst + 1000, kFirst + 2000, kFirst + 3000};

/// The users that there are; "ghost" is none, "toor" root by another name.
inline constexpr const char* kPasswd =
    "root:x:0:0::/root:\ntoor:x:0:0::/root:\nalice:x:1000:1000::/home/alice:\nbob:x:1001:1001::/home/bob:\n"
    "nobody:x:65534:65534:::\n";
inline constexpr const char* kGroup = "root:x:0:\nnogroup:x:65534:\n";

class Source {
public:
    explicit Source(std::uint32_t seed) : engine_(seed) {}

    /// The text of one rule each; `id` is its own.
    std::string allow_rule(const std::string& id);
    std::string deny_rule(const std::string& id);

    /// The rules of a policy, so that they can be put into another order; some have two that the compiler refuses together.
    std::vector<std::string> rules(std::size_t count);

    analyse::Request request();

    /// A number below `end`.
    std::size_t below(std::size_t end) {
        return std::uniform_int_distribution<std::size_t>(0, end - 1)(engine_);
    }
    bool chance(int percent) { return below(100) < static_cast<std::size_t>(percent); }

private:
    template <typename List>
    const auto& one_of(const List& list) {
        return list[below(std::size(list))];
    }
    std::string list_of(const std::vector<std::string>& words);
    std::string some_of(const std::vector<std::string>& words);
    std::string expiry();
    std::string file_entry(bool is_allow);
    std::string exec_table();
    std::string accounts_rule();
    std::string hardware_rule();
    void ask_for_account(analyse::Request& request);
    void ask_for_setting(analyse::Request& request);

    std::mt19937 engine_;
};

/// A file of a time zone: nothing but the rule at its end.
std::string zone_with(const std::string& footer);

/// Those that there are: Europe/Berlin and America/New_York.
std::optional<std::string> zone_file(const std::string& name);

/// The whole text.
std::string text_of(const std::vector<std::string>& rules);

/// Compiled and loaded; nothing if the compiler refuses it.
std::optional<Policy> compiled(const std::string& text);

/// A policy that the compiler takes.
Policy policy(Source& source, std::size_t rules);

}  // namespace sallyport::policy::random
