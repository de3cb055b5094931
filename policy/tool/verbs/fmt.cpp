// fmt: a policy laid out in the one way in which policies are; comments and all that it says stay.
#include "ipc/limits.hpp"
#include "policy/tool/compile/format.hpp"
#include "policy/tool/verbs/files.hpp"
#include "policy/tool/verbs/policies.hpp"
#include "policy/tool/verbs/verb.hpp"

namespace sallyport::policy::cli {

namespace {

constexpr int kWouldChange = 3;

}  // namespace

int run_fmt(const std::string& path, bool only_check) {
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
    if (only_check) return *formatted == *text ? kSuccess : kWouldChange;
    print(*formatted);
    return kSuccess;
}

}  // namespace sallyport::policy::cli
