// What the agent answers to a request, by the functions with which it decides.
// Runs in:  the policy tool
#pragma once

#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <tuple>
#include <utility>
#include <vector>

#include "ipc/inspector.pb.h"
#include "policy/accounts.hpp"
#include "policy/decide.hpp"
#include "policy/exec.hpp"
#include "policy/set.hpp"
#include "policy/tool/analyse/request.hpp"

namespace sallyport::policy::analyse {

/// How far an allowed request may go, or in which way it is carried out.
struct Term {
    enum class Order : std::uint8_t {
        kNone,    // another text is another way
        kAtMost,  // a smaller number is narrower
        kBits,    // fewer bits are narrower
        kOnlyIn,  // fewer words are narrower; none is no limit
    };
    std::string_view key;  // as a rule has it: "max_runtime"
    Order order = Order::kNone;
    std::string text;
    std::uint64_t number = 0;
    bool operator==(const Term&) const = default;
};

struct Outcome {
    Why why = Why::kNoRuleMatches;
    std::size_t rule = kNoRule;  // that decided
    std::size_t entry = 0;       // of its `files` or `exec`
    std::vector<Term> terms = {};
    [[nodiscard]] bool is_allowed() const { return why == Why::kAllowed; }
};

/// Answers for one policy, which must outlive it.
class Decider {
public:
    explicit Decider(const Policy& policy);
    [[nodiscard]] Outcome decide(const Request& request) const;
    [[nodiscard]] const Policy& policy() const { return policy_; }

private:
    [[nodiscard]] Outcome decide_open(const Request& request) const;
    [[nodiscard]] Outcome decide_program(const Request& request) const;
    [[nodiscard]] Outcome decide_mount(const Request& request, const Outcome& whole) const;
    [[nodiscard]] Outcome decide_reply(const Request& request, const Outcome& whole) const;

    [[nodiscard]] Outcome decide_accounts(const Request& request) const;
    [[nodiscard]] Outcome decide_setting(const Request& request) const;
    [[nodiscard]] std::size_t rule_named(std::string_view id) const;

    const Decision& whole(CommandId command, WallTime now) const;

    const Policy& policy_;
    // Neighbouring cells ask the same of the whole policy: a pure function, so what it said is kept.
    mutable std::map<std::pair<CommandId, WallTime>, Decision> wholes_;
    using Open = std::tuple<std::string, std::size_t, bool, WallTime>;  // path, mode, whether it is new
    mutable std::optional<std::pair<Open, Decision>> open_;
    ExecTemplates templates_;
    std::vector<std::pair<std::size_t, std::size_t>> owners_;  // rule and entry of each template
    ipc::ReplyRules replies_;
    AccountTemplates accounts_;
    SetRules sets_;
};

/// The terms that an entry of a rule gives to a request of that kind.
std::vector<Term> terms_of(const Rule& rule, std::size_t entry, const Request& request);

}  // namespace sallyport::policy::analyse
