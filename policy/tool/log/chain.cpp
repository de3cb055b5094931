#include "policy/tool/log/chain.hpp"

#include <sha256.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <map>

#include "policy/tool/log/lines.hpp"

namespace sallyport::policy::log {

namespace {

constexpr std::string_view kMember = ",\"prev\":\"";
constexpr std::size_t kSuffix = kMember.size() + kHashSize + 2;

/// As many of the last bytes as a line can have and its LF. False if the file cannot be read.
bool read_tail(FdRef file, std::string& tail) {
    const off_t size = ::lseek(file.get(), 0, SEEK_END);
    const off_t from = std::max<off_t>(0, size - static_cast<off_t>(kLongestLine + 2));
    if (size < 0 || ::lseek(file.get(), from, SEEK_SET) < 0) return false;
    tail.resize(static_cast<std::size_t>(size - from));
    std::size_t held = 0;
    while (held < tail.size()) {
        const ssize_t got = ::read(file.get(), tail.data() + held, tail.size() - held);
        if (got < 0 && errno == EINTR) continue;
        if (got <= 0) break;
        held += static_cast<std::size_t>(got);
    }
    tail.resize(held);
    return true;
}

std::string_view last_line(std::string_view tail) {
    if (tail.ends_with('\n')) tail.remove_suffix(1);
    const std::size_t lf = tail.rfind('\n');
    return lf == tail.npos ? tail : tail.substr(lf + 1);
}

}  // namespace

std::string hash_of(std::string_view line) {
    constexpr std::string_view kDigits = "0123456789abcdef";
    SHA256_CTX context;
    std::array<std::uint8_t, SHA256_DIGEST_LENGTH> digest{};
    SHA256Init(&context);
    SHA256Update(&context, reinterpret_cast<const std::uint8_t*>(line.data()), line.size());
    SHA256Final(digest.data(), &context);
    std::string text(kHashSize, '0');
    for (std::size_t at = 0; at < digest.size(); ++at) {
        text[2 * at] = kDigits[digest[at] >> 4U];
        text[2 * at + 1] = kDigits[digest[at] & 15U];
    }
    return text;
}

std::string_view previous_of(std::string_view line) {
    if (line.size() <= kSuffix || line.front() != '{' || !line.ends_with("\"}")) return {};
    const std::string_view suffix = line.substr(line.size() - kSuffix);
    return suffix.starts_with(kMember) ? suffix.substr(kMember.size(), kHashSize) : std::string_view();
}

std::optional<Ends> ends_of(FdRef file) {
    constexpr std::string_view kTime = "{\"time\":\"";
    constexpr std::size_t kTimeSize = 27;
    std::string tail;
    if (!read_tail(file, tail) || ::lseek(file.get(), 0, SEEK_SET) < 0) return std::nullopt;
    Ends ends;
    std::string_view line;
    Lines lines(file);
    if (lines.next(line) != Lines::Got::kEnd) {
        ends.begins_after = previous_of(line);
        // A first line of the recorder's own has no time.
        while (ends.time.empty()) {
            if (line.starts_with(kTime)) ends.time = line.substr(kTime.size(), kTimeSize);
            if (lines.number() > 2 || lines.next(line) != Lines::Got::kLine) break;
        }
        ends.last = hash_of(last_line(tail));
    }
    if (::lseek(file.get(), 0, SEEK_SET) < 0) return std::nullopt;
    return ends;
}

Order order_of(const std::vector<Ends>& files) {
    std::map<std::string_view, std::size_t> by_last;
    for (std::size_t at = 0; at < files.size(); ++at)
        if (!files[at].last.empty()) by_last.emplace(files[at].last, at);
    Order order;
    std::vector<std::size_t> beginnings;
    std::map<std::size_t, std::size_t> followed_by;
    for (std::size_t at = 0; at < files.size(); ++at) {
        if (files[at].last.empty()) continue;
        const auto before = by_last.find(files[at].begins_after);
        const bool follows = before != by_last.end() && before->second != at;
        if (follows && !followed_by.emplace(before->second, at).second && !order.fork) order.fork = at;
        const auto place = follows ? followed_by.find(before->second) : followed_by.end();
        if (!follows || place->second != at) beginnings.push_back(at);
    }
    std::ranges::stable_sort(beginnings, {}, [&](std::size_t at) { return files[at].time; });
    std::vector<bool> was_seen(files.size());
    const auto add_chain = [&](std::size_t begin) {
        auto& chain = order.chains.emplace_back();
        for (std::size_t at = begin; !was_seen[at];) {
            was_seen[at] = true;
            chain.push_back(at);
            if (const auto next = followed_by.find(at); next != followed_by.end()) at = next->second;
        }
    };
    for (const std::size_t begin : beginnings) add_chain(begin);
    // No true log is a ring.
    for (std::size_t at = 0; at < files.size(); ++at)
        if (!files[at].last.empty() && !was_seen[at]) add_chain(at);
    return order;
}

bool Chain::take(std::string_view line) {
    const std::string_view previous = previous_of(line);
    was_whole_ = !previous.empty();
    const bool goes_on = last_.empty() || !was_whole_ || previous == last_;
    last_ = hash_of(line);
    return goes_on;
}

}  // namespace sallyport::policy::log
