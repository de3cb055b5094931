// Runs in:  starter and broker, before a host is heard; launcher, for its table
#include "base/complaint.hpp"

#include <algorithm>
#include <cstring>

namespace sallyport {

std::string text_of(const Complaint& complaint) {
    constexpr std::size_t kMostShown = 256;
    std::string text = complaint.about.substr(0, kMostShown);
    if (complaint.about.size() > kMostShown) text += "...";
    std::ranges::replace_if(text, [](char c) { return (c >= '\0' && c < ' ') || c == '\x7F'; }, '?');
    if (!text.empty()) text += ": ";
    text += complaint.error.what;
    if (complaint.error.sys_errno != 0) text.append(": ").append(std::strerror(complaint.error.sys_errno));
    return text;
}

}  // namespace sallyport
