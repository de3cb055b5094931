// fmt: a policy laid out in the one way in which policies are; comments and all that it says stay.
#include "ipc/limits.hpp"
#include "policy/tool/compile/format.hpp"
#include "policy/tool/verbs/files.hpp"
#include "policy/tool/verbs/json.hpp"
#include "policy/tool/verbs/policies.hpp"
#include "policy/tool/verbs/verb.hpp"

namespace sallyport::policy::cli {

namespace {

constexpr int kWouldChange = 3;

}  // namespace

int run_fmt(const std::string& path, bool only_check, bool as_json) {
    const auto files = read_confined({}, {path});
    if (!files) return kFailure;
    const auto text = read_all(files->others.front(), kMaxPolicySize);
    if (!text) {
        complain(describe(path, text.error()));
        return kFailure;
    }
    const auto formatted = compile::format(*text, path);
    if (!formatted) {
        complain(formatted.error());
        return kFailure;
    }
    const bool is_so = *formatted == *text;
    if (as_json) {
        JsonObject object;
        object.add("laid_out", is_so);
        if (!only_check) object.add("text", *formatted);
        print(object.text() + "\n");
    } else if (!only_check) {
        print(*formatted);
    }
    return is_so || !only_check ? kSuccess : kWouldChange;
}

}  // namespace sallyport::policy::cli
