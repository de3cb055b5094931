#include "policy/tool/log/lines.hpp"

#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <utility>

namespace sallyport::policy::log {

bool Lines::fill() {
    std::memmove(buffer_->data(), buffer_->data() + begin_, end_ - begin_);
    end_ -= begin_;
    begin_ = 0;
    for (;;) {
        const ssize_t got = ::read(file_.get(), buffer_->data() + end_, buffer_->size() - end_);
        if (got < 0 && errno == EINTR) continue;
        if (got < 0) return false;
        end_ += static_cast<std::size_t>(got);
        is_at_end_ = got == 0;
        return true;
    }
}

Lines::Got Lines::next(std::string_view& line) {
    std::size_t searched = 0;
    for (;;) {
        const std::string_view held(buffer_->data() + begin_, end_ - begin_);
        const std::size_t lf = held.find('\n', searched);
        if (lf != held.npos || (is_at_end_ && (!held.empty() || is_too_long_))) {
            line = held.substr(0, lf);
            begin_ = lf == held.npos ? end_ : begin_ + lf + 1;
            ++number_;
            const bool was_too_long = std::exchange(is_too_long_, false);
            return was_too_long || line.size() > kLongestLine ? Got::kTooLong : Got::kLine;
        }
        if (is_at_end_) return Got::kEnd;
        searched = held.size();
        if (held.size() > kLongestLine) {
            is_too_long_ = true;
            begin_ = end_;
            searched = 0;
        }
        if (!fill()) return Got::kFault;
    }
}

}  // namespace sallyport::policy::log
