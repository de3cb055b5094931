// sallyport-policy unit
// Runs in:  the policy tool
#include "policy/drop_ins.hpp"
#include "policy/tool/verbs/files.hpp"
#include "policy/tool/verbs/policies.hpp"
#include "policy/tool/verbs/verb.hpp"

namespace sallyport::policy::cli {

int run_unit(const std::string& path, const Folders& folders) {
    const auto files = read_confined({path}, {}, folders);
    if (!files) return kFailure;
    for (const DropIn& one : drop_ins_of(files->policies.front().policy)) print(std::string(one.path) + "\n");
    return kSuccess;
}

}  // namespace sallyport::policy::cli
