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
    [[nodiscard]] bool is_within(std::string_view directory) const {
        const std::size_t size = directory.size();
        if (size == 0 || text_.size() < size) return false;
        // A component must end where the directory does: "/srv/exports" is not within "/srv/export".
        if (text_.size() > size && text_[size] != '/' && directory != "/") return false;
        // The last letter first: it distinguishes most directories without a call, and there may be 1,000.
        return text_[size - 1] == directory.back() && text_.starts_with(directory);
    }

    /// The rest below `directory`, without a leading slash; "." for the directory itself. Only if is_within().
    [[nodiscard]] std::string_view below(std::string_view directory) const;

private:
    explicit GuestPath(std::string text) : text_(std::move(text)) {}
    std::string text_;
};

}  // namespace sallyport::policy
