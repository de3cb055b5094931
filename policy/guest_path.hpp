// A path that the host named, as the policy judges it and the broker opens it.
// Runs in:  broker; the policy tool
// Input:    any bytes
#pragma once

#include <string>
#include <string_view>

#include "base/result.hpp"

namespace sallyport::policy {

/// An absolute path in one form: no empty, "." or ".." component, no NUL, no slash at the end but of "/".
class GuestPath {
public:
    /// `raw`, made absolute by `start_directory` (absolute, normalised) and normalised by its text alone.
    ///
    /// THREAT: two readers of one path. What is judged is what is opened, letter for letter: this form.
    /// ".." is taken away with the component before it, which is what the kernel would do where no component
    /// is a symbolic link, and the rules refuse links unless told otherwise.
    /// Errors: kInvalid (empty, NUL), kLimit (over kMaxPath).
    static Result<GuestPath> parse(std::string_view raw, std::string_view start_directory);

    [[nodiscard]] std::string_view text() const { return text_; }

    /// Whether the path is `directory` (absolute, normalised) or lies beneath it, component by component.
    [[nodiscard]] bool is_within(std::string_view directory) const {
        const std::size_t size = directory.size();
        if (size == 0 || text_.size() < size) return false;
        // A component ends where the directory does: "/srv/exports" does not lie within "/srv/export".
        if (text_.size() > size && text_[size] != '/' && directory != "/") return false;
        // The last letter first: it tells most directories apart without a call, and there may be 1,000.
        return text_[size - 1] == directory.back() && text_.starts_with(directory);
    }

    /// The rest below `directory`, without a slash in front; "." for itself. Only if is_within().
    [[nodiscard]] std::string_view below(std::string_view directory) const;

private:
    explicit GuestPath(std::string text) : text_(std::move(text)) {}
    std::string text_;
};

}  // namespace sallyport::policy
