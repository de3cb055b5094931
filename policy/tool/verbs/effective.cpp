// effective: the whole policy in one text, with what it includes. digest: what identifies it in the audit log.
#include "policy/tool/compile/effective.hpp"

#include "policy/tool/compile/compile.hpp"
#include "policy/tool/verbs/files.hpp"
#include "policy/tool/verbs/policies.hpp"
#include "policy/tool/verbs/verb.hpp"

namespace sallyport::policy::cli {

int run_effective(const std::string& path) {
    const auto files = read_confined({path});
    if (!files) return kFailure;
    const Loaded& loaded = files->policies.front();
    const compile::Passwd passwd(files->passwd, files->group);
    print(compile::effective_text({.policy = loaded.compiled, .nevers = loaded.nevers}, passwd));
    return kSuccess;
}

int run_digest(const std::string& path) {
    const auto files = read_confined({path});
    if (!files) return kFailure;
    print(hexadecimal(files->policies.front().policy.digest) + "\n");
    return kSuccess;
}

}  // namespace sallyport::policy::cli
