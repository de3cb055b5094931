// effective: the whole policy in one text, with what it includes. digest: what identifies it in the audit log.
#include "policy/tool/compile/effective.hpp"

#include <toml++/toml.h>

#include <sstream>

#include "policy/tool/compile/compile.hpp"
#include "policy/tool/verbs/files.hpp"
#include "policy/tool/verbs/json.hpp"
#include "policy/tool/verbs/policies.hpp"
#include "policy/tool/verbs/sums.hpp"
#include "policy/tool/verbs/verb.hpp"

namespace sallyport::policy::cli {

namespace {

// The same text as JSON; it is ours, so it can be parsed.
std::string in_json(const std::string& text) {
    std::ostringstream json;
    json << toml::json_formatter{toml::parse(text)};
    return json.str() + "\n";
}

}  // namespace

int run_effective(const std::string& path, const Folders& folders, bool as_json) {
    const auto files = read_confined({path}, {}, folders);
    if (!files) return kFailure;
    const Loaded& loaded = files->policies.front();
    const compile::Passwd passwd(files->passwd, files->group);
    const std::string text =
        compile::effective_text({.policy = loaded.compiled, .nevers = loaded.nevers}, passwd);
    print(as_json ? in_json(text) : text);
    return kSuccess;
}

int run_digest(const DigestArguments& arguments) {
    const auto files = read_confined({arguments.policy}, {}, arguments.folders);
    if (!files) return kFailure;
    const Loaded& loaded = files->policies.front();
    const std::string digest = hexadecimal(loaded.policy.digest);
    const std::string sums = sums_of(arguments.policy, loaded.text, loaded.fragments);
    if (!arguments.as_json) {
        print(arguments.has_files ? sums : digest + "\n");
        return kSuccess;
    }
    JsonObject object;
    object.add("digest", digest);
    if (arguments.has_files) object.add("files", sums);
    print(object.text() + "\n");
    return kSuccess;
}

}  // namespace sallyport::policy::cli
