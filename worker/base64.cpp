#include "worker/base64.hpp"

#include <absl/strings/escaping.h>
#include <absl/strings/string_view.h>

#include <algorithm>

namespace sallyport::worker {

namespace {

enum CharClass : std::uint8_t { kDigit = 0, kPadding = 1, kLineEnd = 2, kBad = 4 };

constexpr std::size_t kGroup = 4;       // characters
constexpr std::size_t kGroupBytes = 3;  // bytes
constexpr std::uint8_t kNoDigit = 0x80;
constexpr std::uint32_t kNoGroup = 0x80000000U;
constexpr std::string_view kAlphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

struct Tables {
    std::array<std::uint8_t, 256> classes{};
    std::array<std::uint8_t, 256> digits{};
    std::array<std::array<std::uint32_t, 256>, kGroup>
        placed{};  // digits at their places in the 24 bits of a group
};

constexpr Tables kTables = [] {
    Tables tables;
    tables.classes.fill(kBad);
    tables.digits.fill(kNoDigit);
    for (auto& place : tables.placed) place.fill(kNoGroup);
    for (std::size_t digit = 0; digit < kAlphabet.size(); ++digit) {
        const auto at = static_cast<std::uint8_t>(kAlphabet[digit]);
        tables.classes[at] = kDigit;
        tables.digits[at] = static_cast<std::uint8_t>(digit);
        for (std::size_t place = 0; place < kGroup; ++place)
            tables.placed[place][at] = static_cast<std::uint32_t>(digit << (18 - 6 * place));
    }
    tables.classes[static_cast<std::uint8_t>('=')] = kPadding;
    tables.classes[static_cast<std::uint8_t>('\n')] = kLineEnd;
    return tables;
}();

// Encoded in pieces, so that the scratch text stays in the processor's L1 cache.
constexpr std::size_t kPiece = std::size_t{12} << 10U;
static_assert(kPiece % kGroupBytes == 0);

std::uint8_t class_of(char character) {
    return kTables.classes[static_cast<std::uint8_t>(character)];
}
std::uint32_t digit_of(char character) {
    return kTables.digits[static_cast<std::uint8_t>(character)];
}
std::uint32_t digit_or_zero(char character) {
    return character == '=' ? 0 : digit_of(character);
}

std::uint8_t classes_in(std::string_view text) {
    unsigned seen = kDigit;
    for (const char character : text) seen |= class_of(character);
    return static_cast<std::uint8_t>(seen);
}

// Without tables and branches, so that the compiler can vectorise it.
bool are_all_digits(std::string_view text) {
    const auto below = [](unsigned value, unsigned limit) {
        return static_cast<std::uint8_t>(static_cast<std::uint8_t>(value) < limit);
    };
    std::uint8_t all = 1;
    for (const char character : text) {
        const auto code = static_cast<std::uint8_t>(character);
        const auto lower = static_cast<std::uint8_t>(code | 0x20U);
        all &= static_cast<std::uint8_t>(below(lower - 'a', 26) | below(code - '0', 10) | (code == '+') |
                                         (code == '/'));
    }
    return all != 0;
}

std::size_t measure_slowly(std::string_view text) {
    std::array<std::byte, 256> thrown_away{};
    Base64Decoder decoder(text);
    std::size_t total = 0;
    while (const std::size_t size = decoder.decode(thrown_away)) total += size;
    return total;
}

absl::string_view as_text(std::span<const std::byte> data) {
    return {static_cast<const char*>(static_cast<const void*>(data.data())), data.size()};
}

}  // namespace

std::optional<std::size_t> measure_base64(std::string_view text) {
    const std::size_t last = text.size() < kGroup ? 0 : text.size() - kGroup;
    const bool is_canonical = text.size() % kGroup == 0 && are_all_digits(text.substr(0, last));
    const std::uint8_t seen = classes_in(is_canonical ? text.substr(last) : text);
    if ((seen & kBad) != 0) return std::nullopt;
    if (!is_canonical || (seen & kLineEnd) != 0) return measure_slowly(text);
    return last / kGroup * kGroupBytes + measure_slowly(text.substr(last));
}

std::size_t Base64Decoder::decode_plain_groups(std::span<std::byte> out) {
    const std::size_t groups = std::min(text_.size() / kGroup, out.size() / kGroupBytes);
    const char* in = text_.data();
    std::size_t done = 0;
    for (; done < groups; ++done) {
        const std::span<const char, kGroup> four(in + done * kGroup, kGroup);
        std::uint32_t bits = 0;
        for (std::size_t place = 0; place < kGroup; ++place)
            bits |= kTables.placed[place][static_cast<std::uint8_t>(four[place])];
        if ((bits & kNoGroup) != 0) break;
        const auto three = out.subspan(done * kGroupBytes, kGroupBytes);
        three[0] = static_cast<std::byte>(bits >> 16U);
        three[1] = static_cast<std::byte>(bits >> 8U);
        three[2] = static_cast<std::byte>(bits);
    }
    text_.remove_prefix(done * kGroup);
    return done * kGroupBytes;
}

std::size_t Base64Decoder::step(std::span<std::byte> out) {
    const char character = text_.front();
    text_.remove_prefix(1);
    if (character == '\n') return 0;
    group_[held_++] = character;
    if (held_ < kGroup) return 0;
    held_ = 0;
    std::uint32_t bits = 0;
    for (const char one : group_) bits = bits << 6U | digit_or_zero(one);
    std::size_t size = 0;
    out[size++] = static_cast<std::byte>(bits >> 16U);
    if (group_[2] != '=') out[size++] = static_cast<std::byte>(bits >> 8U);
    if (group_[3] != '=') out[size++] = static_cast<std::byte>(bits);
    return size;
}

std::size_t Base64Decoder::decode(std::span<std::byte> out) {
    std::size_t done = 0;
    while (!text_.empty() && out.size() - done >= kGroupBytes) {
        if (held_ == 0) done += decode_plain_groups(out.subspan(done));
        if (text_.empty() || out.size() - done < kGroupBytes) break;
        done += step(out.subspan(done));
    }
    return done;
}

void Base64Encoder::append(std::span<const std::byte> data, std::string& out) {
    while (!carry_.empty() && carry_.size() < kGroupBytes && !data.empty()) {
        carry_ += static_cast<char>(data.front());
        data = data.subspan(1);
    }
    if (carry_.size() == kGroupBytes) finish(out);
    const std::size_t whole = data.size() - data.size() % kGroupBytes;
    for (std::size_t at = 0; at < whole; at += kPiece) {
        absl::Base64Escape(as_text(data.subspan(at, std::min(kPiece, whole - at))), &scratch_);
        out += scratch_;
    }
    for (const std::byte one : data.subspan(whole)) carry_ += static_cast<char>(one);
}

void Base64Encoder::finish(std::string& out) {
    if (carry_.empty()) return;
    absl::Base64Escape(carry_, &scratch_);
    out += scratch_;
    carry_.clear();
}

}  // namespace sallyport::worker
