// "did you mean": the known word that a mistyped one is nearest to.
// Runs in:  the policy tool
#pragma once

#include <optional>
#include <span>
#include <string>
#include <string_view>

namespace sallyport::policy::compile {

/// The one of `known` that `word` was probably meant to be, or nothing if none is near. Case does not count.
std::optional<std::string_view> closest(std::string_view word, std::span<const std::string_view> known);

/// "; did you mean 'x'?" or, if there is nothing near and the choice is small, "; expected a, b or c"; or
/// nothing.
std::string did_you_mean(std::string_view word, std::span<const std::string_view> known);

}  // namespace sallyport::policy::compile
