// The replies that wait to be written.
// Runs in:  worker
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

#include "worker/kept.hpp"

namespace sallyport::worker {

class Output {
public:
    /// To append to.
    std::string& text() { return text_; }
    [[nodiscard]] std::string_view unsent() const { return std::string_view(text_).substr(sent_); }
    [[nodiscard]] std::size_t size() const { return text_.size() - sent_; }
    [[nodiscard]] bool is_empty() const { return size() == 0; }

    /// The first `count` bytes have been sent.
    void sent(std::size_t count) {
        sent_ += count;
        if (sent_ == text_.size()) {
            empty(text_);
            sent_ = 0;
        } else if (sent_ >= text_.size() / 2) {
            text_.erase(0, sent_);
            sent_ = 0;
        }
    }

private:
    std::string text_;
    std::size_t sent_ = 0;
};

}  // namespace sallyport::worker
