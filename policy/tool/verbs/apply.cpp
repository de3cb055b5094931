// apply: puts a policy, its folder, or files of that into force. It is checked, compared with what is in force and shown, put in its place in one step,
// and taken back if the agent does not serve by it.
#include <poll.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <map>
#include <string>

#include "base/trusted_file.hpp"
#include "ipc/limits.hpp"
#include "policy/decide.hpp"
#include "policy/fragments.hpp"
#include "policy/tool/compile/problems.hpp"
#include "policy/tool/verbs/agent_state.hpp"
#include "policy/tool/verbs/candidate.hpp"
#include "policy/tool/verbs/confined.hpp"
#include "policy/tool/verbs/files.hpp"
#include "policy/tool/verbs/json.hpp"
#include "policy/tool/verbs/policies.hpp"
#include "policy/tool/verbs/start_program.hpp"
#include "policy/tool/verbs/sums.hpp"
#include "policy/tool/verbs/verb.hpp"

namespace sallyport::policy::cli {

namespace {

constexpr int kNotDone = 3;
constexpr int kWider = 4;
constexpr int kPauseMs = 100;
constexpr int kLooksAgain = 10;  // pauses after which it must still serve
constexpr const char* kVerifier = "/usr/bin/ssh-keygen";
constexpr const char* kNamespace = "sallyport-policy";

int fail(const std::string& text) {
    complain("sallyport-policy: " + compile::printable(text) + "\n");
    return kFailure;
}

// The folder of the policy in force, with which a candidate is judged that brings none.
std::string folder_for(const Candidate& candidate, const ApplyArguments& arguments) {
    const bool is_shared = !candidate.brings_folder() && has_folder(arguments.target);
    return is_shared ? folder_of(arguments.target) : std::string();
}

std::vector<std::string> with_folder(std::vector<std::string> words, const std::string& folder) {
    if (!folder.empty()) words.insert(words.end(), {"--folder", folder});
    return words;
}

std::optional<std::string> digest_of(const std::string& path, const std::string& folder) {
    const auto input = open_input(path, {.own = folder});
    const auto compiled = input ? compile_apart(*input) : std::nullopt;
    if (!compiled) return std::nullopt;
    const auto policy = load(*compiled);
    return policy ? std::optional(hexadecimal(policy->digest)) : std::nullopt;
}

// THREAT: a policy that somebody has changed on its way, or a folder that has a file more or one less. OpenSSH's own program verifies what is about to
// be put in place, with keys of a file that only root can change: the text, or with a folder the list of all files.
bool is_signed(const ApplyArguments& arguments, const Proposal& proposal) {
    if (const auto keys = open_trusted(arguments.signers); !keys) {
        complain(describe(arguments.signers, keys.error().error));
        return false;
    }
    const UniqueFd text(::memfd_create("signed", MFD_CLOEXEC));
    const std::string bytes =
        proposal.folder ? sums_of(arguments.policy, proposal.text, *proposal.folder) : proposal.text;
    if (!text.is_open() || !write_all(text, bytes) || ::lseek(text.get(), 0, SEEK_SET) != 0) return false;
    const std::string signature =
        arguments.signature.empty() ? arguments.policy + ".sig" : arguments.signature;
    const auto status = start_program({kVerifier, "-Y", "verify", "-f", arguments.signers, "-I",
                                       arguments.identity, "-n", kNamespace, "-s", signature},
                                      {.input = text, .is_silent = true});
    return status == 0;
}

bool agrees(const std::string& target, const Candidate& candidate) {
    print("put this in the place of " + compile::printable(target) +
          (candidate.brings_folder() ? " and of its folder" : "") + "? [y/N] ");
    char answer = '\0';
    return ::read(STDIN_FILENO, &answer, 1) == 1 && (answer == 'y' || answer == 'Y');
}

/// Nothing if it may go on, else the status.
std::optional<int> compare(const ApplyArguments& arguments, const Candidate& candidate) {
    const std::string folder = folder_for(candidate, arguments);
    // It says what is wrong, and warns of what looks unintended.
    if (start_self(with_folder({"check", candidate.path()}, folder),
                   {.input = FdRef(-1), .is_silent = true}) != 0)
        return kFailure;
    std::vector<std::string> words = with_folder({"diff", arguments.target, candidate.path()}, folder);
    if (arguments.as_json) words.emplace_back("--json");
    const auto status = start_self(std::move(words));
    const bool is_known = status == 0 || status == kNotDone;
    if (!is_known && !arguments.may_widen) {
        complain(status == kWider
                     ? "not done: a host could do more; --widen says that this is meant\n"
                     : "not done: the policy in force cannot be compared; --widen says that this is meant\n");
        return kWider;
    }
    if (!arguments.is_sure && !agrees(arguments.target, candidate)) return complain("not done\n"), kNotDone;
    // After the question, which may have waited for long.
    if (!frozen_since(arguments.state_directory)) return std::nullopt;
    complain("not done: file systems are frozen\n");
    return kNotDone;
}

bool serves(const ApplyArguments& arguments, const std::string& digest) {
    return start_self({"status", "--statedir", arguments.state_directory, "--serves", digest}) == kSuccess;
}

// Restarts the agent and looks whether it serves by that policy, and still does a second later.
bool restart(const ApplyArguments& arguments, const std::string& digest) {
    if (start_program(arguments.restart) != 0)
        complain("the restart failed: " + arguments.restart.front() + "\n");
    for (int left = arguments.patience * 1000 / kPauseMs; left > 0; --left) {
        ::poll(nullptr, 0, kPauseMs);
        if (!serves(arguments, digest)) continue;
        ::poll(nullptr, 0, kLooksAgain * kPauseMs);
        if (serves(arguments, digest)) return true;
    }
    return false;
}

int take_back(const ApplyArguments& arguments, Candidate& candidate, const std::string& old_text,
              const struct stat& like) {
    complain("the agent does not serve by the new policy; the old one is put back\n");
    if (const auto done = candidate.take_back(old_text, like); !done)
        return complain(describe(arguments.target, done.error())), kFailure;
    const auto digest = digest_of(arguments.target, {});
    const bool is_back = digest && restart(arguments, *digest);
    complain(is_back ? "the agent serves by the old policy\n"
                     : "the agent does not serve by the old policy either\n");
    return kFailure;
}

std::string done_in_json(const ApplyArguments& arguments, const std::string& digest, bool serves) {
    return JsonObject().add("policy", arguments.target).add("digest", digest).add("serves", serves).text() +
           "\n";
}

int replace(const ApplyArguments& arguments, Candidate& candidate, const std::string& old_text,
            const struct stat& like) {
    const auto digest = digest_of(candidate.path(), folder_for(candidate, arguments));
    if (!digest) return kFailure;
    if (const auto done = candidate.put(like); !done)
        return complain(describe(arguments.target, done.error())), kFailure;
    if (!is_running(arguments.state_directory).value_or(true)) {
        print(arguments.as_json ? done_in_json(arguments, *digest, false)
                                : "in place; no agent runs: the next start takes it\n");
        return kSuccess;
    }
    if (!restart(arguments, *digest)) return take_back(arguments, candidate, old_text, like);
    if (arguments.as_json) return print(done_in_json(arguments, *digest, true)), kSuccess;
    print("in force: " + digest->substr(0, kDigestShown) + "; what was before is kept as " +
          compile::printable(arguments.target) + ".old\n");
    return kSuccess;
}

Result<std::string> text_of(const std::string& path) {
    const auto file = open_to_read(path);
    return file ? read_all(*file, kMaxPolicySize) : std::unexpected(file.error());
}

// The policy in force, and its folder with other files.
std::optional<Proposal> changed_folder(const ApplyArguments& arguments, const std::string& old_text) {
    std::map<std::string, std::string> files;
    if (has_folder(arguments.target)) {
        const auto held = files_of_folder(arguments.target);
        if (!held) return std::nullopt;
        for (const compiled::Fragments::File& file : held->files()) files[name_of(file.name())] = file.text();
    }
    for (const std::string& path : arguments.drop_ins) {
        auto text = text_of(path);
        if (!text) return complain(describe(path, text.error())), std::nullopt;
        if (judge_fragment_name(name_of(path)) != FragmentName::kRead)
            return fail(path +
                        ": a file of the folder has a name of letters, digits, '-', '_' and '.' that ends in "
                        ".toml"),
                   std::nullopt;
        files[name_of(path)] = *std::move(text);
    }
    for (const std::string& name : arguments.without)
        if (files.erase(name) == 0)
            return fail(folder_of(arguments.target) + " has no file '" + name + "'"), std::nullopt;
    Proposal proposal{.text = old_text, .folder = compiled::Fragments()};
    for (auto& [name, text] : files) {
        compiled::Fragments::File& to = *proposal.folder->add_files();
        to.set_name(folder_of(arguments.target) + "/" + name);
        to.set_text(std::move(text));
    }
    return proposal;
}

std::optional<Proposal> proposal_of(const ApplyArguments& arguments, const std::string& old_text) {
    if (arguments.policy.empty()) return changed_folder(arguments, old_text);
    auto text = text_of(arguments.policy);
    if (!text) return complain(describe(arguments.policy, text.error())), std::nullopt;
    Proposal proposal{.text = *std::move(text), .folder = {}};
    if (!has_folder(arguments.policy)) return proposal;
    proposal.folder = files_of_folder(arguments.policy);
    return proposal.folder ? std::optional(std::move(proposal)) : std::nullopt;
}

}  // namespace

int run_apply(const ApplyArguments& arguments) {
    const auto old_text = text_of(arguments.target);
    struct stat like{};
    if (!old_text || ::stat(arguments.target.c_str(), &like) != 0)
        return fail(arguments.target + ": there is no policy in force to compare with; install one first");
    const auto proposal = proposal_of(arguments, *old_text);
    if (!proposal) return kFailure;
    if (!arguments.signers.empty() && !is_signed(arguments, *proposal))
        return fail(arguments.policy + ": no signature of it that '" + arguments.signers + "' accepts");
    Candidate candidate(arguments.target);
    if (const auto written = candidate.write(*proposal, like); !written)
        return complain(describe(candidate.path(), written.error())), kFailure;
    if (const auto status = compare(arguments, candidate)) return *status;
    return replace(arguments, candidate, *old_text, like);
}

}  // namespace sallyport::policy::cli
