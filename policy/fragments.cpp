// Runs in:  starter; the policy tool
#include "policy/fragments.hpp"

namespace sallyport::policy {

namespace {

constexpr std::string_view kEnding = ".toml";
constexpr std::string_view kLetters = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_.";

}  // namespace

std::string folder_of(std::string_view policy_path) {
    if (policy_path.ends_with(kEnding)) policy_path.remove_suffix(kEnding.size());
    return std::string(policy_path) + ".d";
}

FragmentName judge_fragment_name(std::string_view name) {
    if (!name.ends_with(kEnding) || name.starts_with('.') || name.starts_with('#'))
        return FragmentName::kIgnored;
    return name.find_first_not_of(kLetters) == name.npos ? FragmentName::kRead : FragmentName::kOdd;
}

}  // namespace sallyport::policy
