// "did you mean": the known word that is most similar to a mistyped one.
// Runs in:  the policy tool
#pragma once

#include <optional>
#include <span>
#include <string>
#include <string_view>

namespace sallyport::policy::compile {

/// The one of `known` that `word` probably means, or nothing if none is similar. Case is ignored.
std::optional<std::string_view> closest(std::string_view word, std::span<const std::string_view> known);

/// "; did you mean 'x'?"; or, if nothing is similar and there are few choices, "; expected a, b or c"; or nothing.
std::string did_you_mean(std::string_view word, std::span<const std::string_view> known);

}  // namespace sallyport::policy::compile
