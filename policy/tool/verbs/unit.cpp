// sallyport-policy unit
// Runs in:  the policy tool
#include "policy/drop_ins.hpp"
#include "policy/tool/verbs/files.hpp"
#include "policy/tool/verbs/json.hpp"
#include "policy/tool/verbs/policies.hpp"
#include "policy/tool/verbs/verb.hpp"

namespace sallyport::policy::cli {

int run_unit(const std::string& path_of_policy, const Folders& folders, bool as_json) {
    const auto files = read_confined({path_of_policy}, {}, folders);
    if (!files) return kFailure;
    std::vector<std::string> paths;
    for (const DropIn& one : drop_ins_of(files->policies.front().policy)) paths.emplace_back(one.path);
    if (as_json) {
        print(JsonObject().add_value("drop_ins", json_strings(paths)).text() + "\n");
    } else {
        for (const std::string& path : paths) print(path + "\n");
    }
    return kSuccess;
}

}  // namespace sallyport::policy::cli
