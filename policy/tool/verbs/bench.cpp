// bench: how long the decisions of a policy take on this machine, by the functions with which the agent decides.
#include <algorithm>
#include <array>
#include <cstdint>
#include <cstdio>
#include <ctime>
#include <string>
#include <vector>

#include "policy/exec.hpp"
#include "policy/tool/analyse/cells.hpp"
#include "policy/tool/analyse/orders.hpp"
#include "policy/tool/analyse/words.hpp"
#include "policy/tool/compile/problems.hpp"
#include "policy/tool/verbs/files.hpp"
#include "policy/tool/verbs/json.hpp"
#include "policy/tool/verbs/policies.hpp"
#include "policy/tool/verbs/verb.hpp"

namespace sallyport::policy::cli {

namespace {

using analyse::Request;

constexpr std::size_t kMostRequests = 1000;  // of a command
constexpr int kRounds = 100;

/// What the broker makes of a policy once.
struct Tables {
    ExecTemplates programs;
    AccountTemplates accounts;
    SetRules sets;
};

/// All that the broker decides of a request before anything is opened or started.
bool decide_once(const Policy& policy, const Tables& tables, const Request& request) {
    bool is_allowed = decide_command(policy, request.command, request.time).is_allowed();
    if (request.command == CommandId::kFileOpen) {
        const auto path = GuestPath::parse(request.file.path, "/");
        const Access wanted = analyse::open_modes()[request.file.mode].wanted;
        is_allowed = path && decide_file_open(policy, *path, wanted, request.time).is_allowed();
    }
    if (request.command == CommandId::kExec) {
        const auto& wish = request.exec;
        const ExecRequest want{
            .program = wish.program, .args = {wish.args.begin(), wish.args.end()}, .env = {}, .input = {}};
        is_allowed = decide_exec(tables.programs, want, request.time).at >= 0;
    }
    if (analyse::subject_of(request.command) == analyse::Subject::kAccounts)
        is_allowed =
            decide_account(tables.accounts, analyse::account_request_of(request), request.time).at >= 0;
    if (command_row(request.command).group == Group::kHardware)
        is_allowed =
            decide_set(tables.sets, analyse::set_order_of(request), analyse::clocks_of(request)).at >= 0;
    if (request.command == CommandId::kShutdown)
        is_allowed = decide_shutdown(policy, request.shutdown, request.time).is_allowed();
    return is_allowed;
}

/// Of this process, in nanoseconds: what else runs does not count.
std::int64_t processor_time() {
    timespec now{};
    ::clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
    return std::int64_t{now.tv_sec} * 1'000'000'000 + now.tv_nsec;
}

double nanoseconds_of(const Policy& policy, const Tables& tables, const Request& request) {
    int allowed = 0;
    const std::int64_t begin = processor_time();
    for (int round = 0; round < kRounds; ++round) allowed += decide_once(policy, tables, request) ? 1 : 0;
    const std::int64_t took = processor_time() - begin;
    // So that no round can be left out as one that changes nothing.
    SALLYPORT_CHECK(allowed == 0 || allowed == kRounds);
    return static_cast<double>(took) / kRounds;
}

struct Figures {
    std::size_t requests = 0;
    double sum = 0;
    double longest = 0;
    Request slowest = {};
};

std::string line_of(const Figures& figures) {
    std::array<char, 160> text{};
    std::snprintf(text.data(), text.size(), "%-28s%6zu requests%10.0f ns each%10.0f ns the slowest: ",
                  command_row(figures.slowest.command).name.data(), figures.requests,
                  figures.sum / static_cast<double>(figures.requests), figures.longest);
    return text.data() + compile::printable(analyse::line_of(figures.slowest, true)) + "\n";
}

std::string in_json(const Figures& figures) {
    return JsonObject()
               .add("command", command_row(figures.slowest.command).name)
               .add("requests", std::uint64_t{figures.requests})
               .add("ns_each",
                    static_cast<std::uint64_t>(figures.sum / static_cast<double>(figures.requests)))
               .add("ns_slowest", static_cast<std::uint64_t>(figures.longest))
               .add("slowest", analyse::line_of(figures.slowest, true))
               .text() +
           "\n";
}

}  // namespace

int run_bench(const std::string& path, bool as_json) {
    const auto files = read_confined({path});
    if (!files) return kFailure;
    const Policy& policy = files->policies.front().policy;
    const Tables tables{
        .programs = exec_templates(policy), .accounts = account_templates(policy), .sets = set_rules(policy)};
    const WallTime now = std::time(nullptr);
    for (const Command& command : kCommands) {
        Figures figures;
        const auto measure = [&](const Request& request, const analyse::Alive&) {
            const double took = nanoseconds_of(policy, tables, request);
            figures.sum += took;
            if (took >= figures.longest) {
                figures.longest = took;
                figures.slowest = request;
            }
            return ++figures.requests < kMostRequests;
        };
        analyse::for_each_cell({.policies = {&policy}, .from = {.command = command.id, .time = now}},
                               measure);
        print(as_json ? in_json(figures) : line_of(figures));
    }
    return kSuccess;
}

}  // namespace sallyport::policy::cli
