// What is to take the place of a policy and of its folder: written beside them, put there in one step each, and taken back.
// Runs in:  the policy tool
#pragma once

#include <sys/stat.h>

#include <optional>
#include <string>

#include "base/result.hpp"
#include "base/unique_fd.hpp"
#include "policy/policy.pb.h"

namespace sallyport::policy::cli {

struct Proposal {
    std::string text;
    std::optional<compiled::Fragments> folder;  // nothing: the folder in force stays as it is
};

/// The files of the folder beside `policy`; none if it is not there. Complains and gives nothing if it cannot be read.
std::optional<compiled::Fragments> files_of_folder(const std::string& policy);
bool has_folder(const std::string& policy);

/// Of a policy x.toml: x.toml.new and x.toml.new.d, until they are x.toml and x.d, and what these were is x.toml.old and x.toml.old.d. The folders of
/// the new and the old one are thus where every verb looks for the folder of a policy of that name.
class Candidate {
public:
    explicit Candidate(std::string target);
    Candidate(const Candidate&) = delete;
    Candidate& operator=(const Candidate&) = delete;
    /// What was written and not put is gone again; also if a signal ends the process.
    ~Candidate();

    /// Writes what is proposed with owner and mode of the policy in force, of which `like` is. Errors: kSystem, of path() or of its folder.
    Status write(const Proposal& proposal, const struct stat& like);

    /// Puts it in its place, the folder and then the policy, which a signal does not part. What was there is kept. Errors: kSystem: nothing is
    /// changed, unless it says that the last step, keeping or syncing, has failed.
    Status put(const struct stat& like);

    /// Undoes put(). Errors: kSystem.
    Status take_back(const std::string& old_text, const struct stat& like);

    [[nodiscard]] const std::string& path() const { return path_; }
    [[nodiscard]] bool brings_folder() const { return brings_folder_; }

private:
    Status write_folder(const std::string& folder, const compiled::Fragments& files, const struct stat& like);
    Status keep_old(const struct stat& like);
    Status put_folder();
    void take_folder_back();

    std::string target_;
    std::string path_;
    std::string old_;
    bool brings_folder_ = false;
    bool had_folder_ = false;
};

}  // namespace sallyport::policy::cli
