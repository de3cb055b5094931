// The inspector executable: reports read-only facts about the guest, and can change nothing.
//
//   sallyport-inspector UID GID COMMANDS   started by the starter; COMMANDS is the set that the policy allows
//
// It receives its part of the policy and is confined before it gets a query. No byte of the host reaches it: queries have no
// arguments.
#include <unistd.h>

#include <csignal>
#include <optional>
#include <span>

#include "inspector/needs.hpp"
#include "inspector/rules.hpp"
#include "inspector/serve.hpp"
#include "inspector/sources.hpp"
#include "inspector/text.hpp"
#include "ipc/codec.hpp"
#include "sandbox/lockdown.hpp"

namespace {

using namespace sallyport;

constexpr int kControl = 3;
constexpr int kFailed = 1;

std::optional<CommandSet> parse_commands(std::string_view text) {
    const auto bits = inspector::to_number<std::uint64_t>(text, 16);
    if (!bits) return std::nullopt;
    CommandSet commands;
    for (const Command& row : kCommands)
        if ((*bits >> static_cast<unsigned>(row.id) & 1U) != 0) commands.add(row.id);
    return commands;
}

}  // namespace

int main(int argc, char** argv) {
    ipc::silence_protobuf();
    const std::span arguments(argv, static_cast<std::size_t>(argc));
    if (argc != 4) return kFailed;
    const auto uid = inspector::to_number<uid_t>(arguments[1]);
    const auto gid = inspector::to_number<gid_t>(arguments[2]);
    const auto commands = parse_commands(arguments[3]);
    if (!uid || !gid || !commands) return kFailed;
    if (::close_range(kControl + 1, ~0U, 0) != 0) return kFailed;
    for (const int number : {SIGPIPE, SIGTSTP, SIGTTIN, SIGTTOU}) std::signal(number, SIG_IGN);
    const auto rules = inspector::take_rules(FdRef(kControl));
    if (!rules) return kFailed;
    inspector::Sources sources = inspector::open_sources(*commands);
    const sandbox::InspectorNeeds needs = inspector::needs_of(*commands);
    const auto filter = sandbox::filter_of_inspector_children(needs);
    if (!filter || !sandbox::lockdown_inspector(*uid, *gid, needs)) return kFailed;
    sandbox::forget_startup_code();
    return inspector::serve(UniqueFd(kControl), {sources, *rules, *commands}, *filter);
}
