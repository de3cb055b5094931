// The verbs of sallyport-policy, one file each. main.cpp and the files declare_*.cpp parse the words for all of them.
// Runs in:  the policy tool
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "policy/tool/verbs/fragment_files.hpp"

namespace sallyport::policy::cli {

inline constexpr int kSuccess = 0;
inline constexpr int kFailure = 1;  // the policy is wrong, or a file cannot be used
inline constexpr int kUsage = 2;    // the command line is wrong

/// Where freeze-plan reads the mounts by default.
inline constexpr const char* kMounts = "/proc/self/mountinfo";

struct CompileArguments {
    std::string policy;
    std::string output;
    std::string name;
    int input_fd = -1;
    int output_fd = -1;
    int passwd_fd = -1;
    int group_fd = -1;
    int zones_fd = -1;
    int fragments_fd = -1;
    Folders folders = {};
};

struct ServiceArguments {
    int output_fd = -1;
    int config_fd = -1;
    bool is_final =
        false;  // the configuration file is given, or there is none, unless the words name another
    std::string config_name;
    std::vector<std::string> words;
};

struct DigestArguments {
    Folders folders = {};
    std::string policy;
    bool has_files = false;  // of each file, not of what they are together
    bool as_json = false;
};

struct DiffArguments {
    Folders folders = {};
    std::string before;
    std::string after;
    bool as_json = false;
};

struct ExplainArguments {
    Folders folders = {};
    std::string policy;
    std::vector<std::string> words;
    std::string denial;           // instead of words: the decision's id, and
    std::string log;              // where it is written down
    std::string state_directory;  // empty: nothing is said of what is left of budgets
    bool as_json = false;
};

struct TestArguments {
    Folders folders = {};
    std::string policy;
    std::string cases;
    std::size_t least = 0;  // percent of the policy that must be tried
    bool mutate = false;
    bool as_json = false;
};

struct CanArguments {
    std::string policy;
    std::vector<std::string> words;
    bool as_json = false;
};

struct ImportArguments {
    std::vector<std::string> files;
    std::vector<std::string> allow;
    std::vector<std::string> block;
    bool is_strict = false;
    bool as_json = false;
};

/// What the verbs that read logs have in common.
struct LogArguments {
    std::string policy;
    std::vector<std::string> logs;
    std::string since;  // only what is not older: the beginning of a record's time; empty: all
    bool as_json = false;
    [[nodiscard]] bool takes(std::string_view time) const { return time.substr(0, since.size()) >= since; }
};

/// The beginning of a record's time, of "90d" or "12h" before now, or of a time; empty if it is none of them.
std::string since_of(const std::string& text);

struct PrivilegesArguments {
    Folders folders = {};
    std::string policy;  // empty: at the most, by whatever policy
    bool as_json = false;
};

struct LearnArguments {
    LogArguments log;          // its policy may be empty
    bool has_refused = false;  // what was refused is learnt, too
};

struct ReportArguments {
    LogArguments log;  // its policy may be empty
    std::string html;
};

struct CheckArguments {
    Folders folders = {};
    std::string policy;  // its name in messages, if it comes from standard input
    bool from_stdin = false;
    bool as_json = false;
    bool as_sarif = false;
};

struct StatusArguments {
    std::string state_directory;
    std::string policy;
    std::string
        serves;  // only whether the agent serves by the policy with this digest, by the status; empty: say everything
    bool as_json = false;
};

struct ApplyArguments {
    std::string policy;                 // empty: the one in force, with other files in its folder
    std::vector<std::string> drop_ins;  // files that come into the folder
    std::vector<std::string> without;   // names of files that go from it
    std::string target;
    std::string state_directory;
    std::vector<std::string> restart;  // the words of the command
    std::string signers;               // a file of keys; empty: no signature is needed
    std::string signature;             // empty: beside the policy
    std::string identity;
    int patience = 0;  // seconds until the agent must serve
    bool may_widen = false;
    bool is_sure = false;
    bool as_json = false;
};

/// Each function returns the exit status.
int run_apply(const ApplyArguments& arguments);
int run_bench(const std::string& path, bool as_json);
int run_can(const CanArguments& arguments);
int run_cells(const std::string& path, bool as_json);
int run_check(const CheckArguments& arguments);
/// The same, as JSON or SARIF.
int report_check(const CheckArguments& arguments);
int run_compile(const CompileArguments& arguments);
int run_diff(const DiffArguments& arguments);
int run_digest(const DigestArguments& arguments);
int run_effective(const std::string& path, const Folders& folders, bool as_json);
int run_explain(const ExplainArguments& arguments);
int run_fmt(const std::string& path, bool only_check, bool as_json);
int run_freeze_plan(const std::string& path, const std::string& mounts_path, bool as_json);
int run_import(const ImportArguments& arguments);
int run_learn(const LearnArguments& arguments);
int run_metrics(const LogArguments& arguments);
int run_report(const ReportArguments& arguments);
int run_status(const StatusArguments& arguments);
int run_privileges(const PrivilegesArguments& arguments);
int run_schema();
int run_service(ServiceArguments& arguments);
int run_simulate(const LogArguments& arguments);
int run_test(const TestArguments& arguments);
int run_unit(const std::string& path_of_policy, const Folders& folders, bool as_json);
int run_unused(const LogArguments& arguments);
int run_verify_log(const std::vector<std::string>& names, bool as_json);

}  // namespace sallyport::policy::cli
