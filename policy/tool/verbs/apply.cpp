// apply: puts a policy into force. It is checked, compared with the one in force and shown, put in its place in one step, and taken back if the
// agent does not serve by it.
#include <fcntl.h>
#include <poll.h>
#include <sys/stat.h>
#include <unistd.h>

#include <csignal>
#include <cstdio>
#include <string>

#include "base/trusted_file.hpp"
#include "ipc/limits.hpp"
#include "policy/decide.hpp"
#include "policy/fragments.hpp"
#include "policy/tool/compile/problems.hpp"
#include "policy/tool/verbs/agent_state.hpp"
#include "policy/tool/verbs/confined.hpp"
#include "policy/tool/verbs/files.hpp"
#include "policy/tool/verbs/policies.hpp"
#include "policy/tool/verbs/start_program.hpp"
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

// What a signal that ends this process must not leave behind: the next apply would take it for another that is under way.
const char* unfinished = nullptr;

void remove_and_end(int number) {
    ::unlink(unfinished);
    ::signal(number, SIG_DFL);
    ::raise(number);
}

/// nullptr: nothing. A signal that is ignored stays so.
void remove_at_end(const char* path) {
    unfinished = path;
    for (const int number : {SIGINT, SIGTERM, SIGHUP})
        if (::signal(number, path == nullptr ? SIG_DFL : remove_and_end) == SIG_IGN)
            ::signal(number, SIG_IGN);
}

/// The file that is to replace the policy. It is gone again if that does not happen.
class Candidate {
public:
    explicit Candidate(const std::string& target) : path_(target + ".new") {}
    Candidate(const Candidate&) = delete;
    Candidate& operator=(const Candidate&) = delete;
    ~Candidate() {
        if (!file_.is_open()) return;
        ::unlink(path_.c_str());
        remove_at_end(nullptr);
    }

    /// Writes `text` with owner and mode of the policy in force. Errors: kSystem.
    Status write(std::string_view text, const struct stat& like) {
        constexpr int kFlags = O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC;
        file_ = UniqueFd(::open(path_.c_str(), kFlags, 0600));
        if (!file_.is_open()) return system_error("cannot be made; is another apply under way?");
        remove_at_end(path_.c_str());
        if (const auto written = write_all(file_, text); !written) return written;
        if (::fchown(file_.get(), like.st_uid, like.st_gid) != 0 ||
            ::fchmod(file_.get(), like.st_mode & 0777U) != 0)
            return system_error("cannot be given to the owner of the policy");
        return ::fsync(file_.get()) == 0 ? Status() : system_error("cannot be written");
    }
    /// Puts it in the place of `target`, in one step.
    Status put(const std::string& target) {
        if (::rename(path_.c_str(), target.c_str()) != 0) return system_error("cannot be replaced");
        remove_at_end(nullptr);
        file_.reset();
        return {};
    }
    [[nodiscard]] const std::string& path() const { return path_; }
    [[nodiscard]] FdRef file() const { return file_; }

private:
    std::string path_;
    UniqueFd file_;
};

// What was renamed or linked is on the disk, too.
Status sync_directory_of(const std::string& path) {
    const std::size_t slash = path.rfind('/');
    const std::string directory = slash == path.npos ? "." : path.substr(0, slash + 1);
    const UniqueFd file(::open(directory.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    return file.is_open() && ::fsync(file.get()) == 0 ? Status() : system_error("cannot be synced");
}

// The folder of the policy in force, whatever the file is called meanwhile.
std::string folder_in_force(const ApplyArguments& arguments) {
    const std::string folder = folder_of(arguments.target);
    return ::access(folder.c_str(), F_OK) == 0 ? folder : std::string();
}

std::vector<std::string> with_folder(std::vector<std::string> words, const ApplyArguments& arguments) {
    const std::string folder = folder_in_force(arguments);
    if (!folder.empty()) words.insert(words.end(), {"--folder", folder});
    return words;
}

std::optional<std::string> digest_of(const std::string& path, const ApplyArguments& arguments) {
    const auto input = open_input(path, {.own = folder_in_force(arguments)});
    const auto compiled = input ? compile_apart(*input) : std::nullopt;
    if (!compiled) return std::nullopt;
    const auto policy = load(*compiled);
    return policy ? std::optional(hexadecimal(policy->digest)) : std::nullopt;
}

// THREAT: a policy that somebody has changed on its way. OpenSSH's own program verifies the text that is about to be put in place, with keys of a file
// that only root can change.
bool is_signed(const ApplyArguments& arguments, const Candidate& candidate) {
    if (const auto keys = open_trusted(arguments.signers); !keys) {
        complain(describe(arguments.signers, keys.error().error));
        return false;
    }
    if (::lseek(candidate.file().get(), 0, SEEK_SET) != 0) return false;
    const std::string signature =
        arguments.signature.empty() ? arguments.policy + ".sig" : arguments.signature;
    const auto status = start_program({kVerifier, "-Y", "verify", "-f", arguments.signers, "-I",
                                       arguments.identity, "-n", kNamespace, "-s", signature},
                                      {.input = candidate.file(), .is_silent = true});
    return status == 0;
}

bool agrees(const std::string& target) {
    print("put this in the place of " + compile::printable(target) + "? [y/N] ");
    char answer = '\0';
    return ::read(STDIN_FILENO, &answer, 1) == 1 && (answer == 'y' || answer == 'Y');
}

/// Nothing if it may go on, else the status.
std::optional<int> compare(const ApplyArguments& arguments, const Candidate& candidate) {
    // It says what is wrong, and warns of what looks unintended.
    if (start_self(with_folder({"check", candidate.path()}, arguments),
                   {.input = FdRef(-1), .is_silent = true}) != 0)
        return kFailure;
    const auto status = start_self(with_folder({"diff", arguments.target, candidate.path()}, arguments));
    const bool is_known = status == 0 || status == kNotDone;
    if (!is_known && !arguments.may_widen) {
        complain(status == kWider
                     ? "not done: a host could do more; --widen says that this is meant\n"
                     : "not done: the policy in force cannot be compared; --widen says that this is meant\n");
        return kWider;
    }
    if (!arguments.is_sure && !agrees(arguments.target)) return complain("not done\n"), kNotDone;
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

int take_back(const ApplyArguments& arguments, const std::string& old_text, const struct stat& like) {
    complain("the agent does not serve by the new policy; the old one is put back\n");
    Candidate old(arguments.target);
    auto done = old.write(old_text, like);
    if (done) done = old.put(arguments.target);
    if (!done) return complain(describe(arguments.target, done.error())), kFailure;
    const auto digest = digest_of(arguments.target, arguments);
    const bool is_back = digest && restart(arguments, *digest);
    complain(is_back ? "the agent serves by the old policy\n"
                     : "the agent does not serve by the old policy either\n");
    return kFailure;
}

// The old policy stays beside the new one.
Status keep_old(const std::string& target) {
    const std::string old = target + ".old";
    if (::unlink(old.c_str()) != 0 && errno != ENOENT) return system_error("cannot be removed");
    return ::link(target.c_str(), old.c_str()) == 0 ? Status() : system_error("cannot be kept");
}

int replace(const ApplyArguments& arguments, Candidate& candidate, const std::string& old_text,
            const struct stat& like) {
    const auto digest = digest_of(candidate.path(), arguments);
    if (!digest) return kFailure;
    auto done = keep_old(arguments.target);
    if (done) done = candidate.put(arguments.target);
    if (done) done = sync_directory_of(arguments.target);
    if (!done) return complain(describe(arguments.target, done.error())), kFailure;
    if (!is_running(arguments.state_directory).value_or(true)) {
        print("in place; no agent runs: the next start takes it\n");
        return kSuccess;
    }
    if (!restart(arguments, *digest)) return take_back(arguments, old_text, like);
    print("in force: " + digest->substr(0, kDigestShown) + "; what was before is kept as " +
          compile::printable(arguments.target) + ".old\n");
    return kSuccess;
}

Result<std::string> text_of(const std::string& path) {
    const auto file = open_to_read(path);
    return file ? read_all(*file, kMaxPolicySize) : std::unexpected(file.error());
}

}  // namespace

int run_apply(const ApplyArguments& arguments) {
    const auto text = text_of(arguments.policy);
    if (!text) return complain(describe(arguments.policy, text.error())), kFailure;
    const auto old_text = text_of(arguments.target);
    struct stat like{};
    if (!old_text || ::stat(arguments.target.c_str(), &like) != 0)
        return fail(arguments.target + ": there is no policy in force to compare with; install one first");
    Candidate candidate(arguments.target);
    if (const auto written = candidate.write(*text, like); !written)
        return complain(describe(candidate.path(), written.error())), kFailure;
    if (!arguments.signers.empty() && !is_signed(arguments, candidate))
        return fail(arguments.policy + ": no signature of it that '" + arguments.signers + "' accepts");
    if (const auto status = compare(arguments, candidate)) return *status;
    return replace(arguments, candidate, *old_text, like);
}

}  // namespace sallyport::policy::cli
