// A path that the host named, in the one form that the policy judges and the files hand opens.
// Runs in:  broker, files, starter; the policy tool
// Input:    any bytes
#pragma once

#include <string>
#include <string_view>

#include "base/result.hpp"

namespace sallyport::policy {

/// An absolute path in normal form: no empty, "." or ".." component, no NUL, no slash at the end except for "/".
class GuestPath {
public:
    /// Makes `raw` absolute with `start_directory` (absolute, normalised), and normalises the text only.
    ///
    /// THREAT: two readers understand a path differently. Exactly this form is judged and opened. ".." is removed together with
    /// the component before it. The kernel would do the same if no component is a symbolic link, and rules refuse links unless
    /// told otherwise. Errors: kInvalid (empty, NUL), kLimit (over kMaxPath).
    static Result<GuestPath> parse(std::string_view raw, std::string_view start_directory);

    [[nodiscard]] std::string_view text() const { return text_; }

    /// Whether the path is `directory` (absolute, normalised) or lies beneath it, by whole components.
    /// Inline, since a decision asks it of each rule, of which there may be thousands.
    [[nodiscard, gnu::always_inline]] bool is_within(std::string_view directory) const {
        const std::string_view text = text_;
        const std::size_t size = directory.size();
        // Few directories end where a component of the path does, and of these most differ in the last letter.
        return size != 0 && ends_component(text, size) && text[size - 1] == directory[size - 1] &&
               text.starts_with(directory);
    }

    /// The rest below `directory`, without a leading slash; "." for the directory itself. Only if is_within().
    [[nodiscard]] std::string_view below(std::string_view directory) const;

private:
    /// Whether a component of the path ends after `size` letters: "/srv/exports" is not within "/srv/export", but all is within "/".
    static bool ends_component(std::string_view text, std::size_t size) {
        return text.size() == size || (text.size() > size && (text[size] == '/' || size == 1));
    }

    explicit GuestPath(std::string text) : text_(std::move(text)) {}
    std::string text_;
};

}  // namespace sallyport::policy
