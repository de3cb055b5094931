#include "worker/base64.hpp"

#include <absl/strings/escaping.h>
#include <gtest/gtest.h>

#include <random>

namespace sallyport::worker {
namespace {

std::string decode_by(std::string_view text, std::size_t piece) {
    Base64Decoder decoder(text);
    std::string all;
    std::vector<std::byte> buffer(piece);
    while (const std::size_t size = decoder.decode(buffer))
        for (std::size_t at = 0; at < size; ++at) all += static_cast<char>(buffer[at]);
    return all;
}

struct Lenient {
    const char* name;
    std::string text;
    std::string bytes;
};
class LenientBase64 : public testing::TestWithParam<Lenient> {};

TEST_P(LenientBase64, IsReadAsQemuGaReadsIt) {
    const auto& [name, text, bytes] = GetParam();
    EXPECT_EQ(measure_base64(text), bytes.size());
    for (const std::size_t piece : {3U, 4U, 5U, 64U}) EXPECT_EQ(decode_by(text, piece), bytes) << piece;
}

INSTANTIATE_TEST_SUITE_P(
    , LenientBase64,
    testing::Values(Lenient{"Nothing", "", ""}, Lenient{"Canonical", "aGVsbG8=", "hello"},
                    Lenient{"LineEnds", "aGVs\nbG8=\n", "hello"},
                    Lenient{"LineEndInside", "a\nG\nV\ns", "hel"}, Lenient{"OnlyLineEnds", "\n\n\n\n", ""},
                    Lenient{"MissingPadding", "aGk", ""}, Lenient{"OneCharacter", "a", ""},
                    Lenient{"IncompleteAtTheEnd", "aGVsbG", "hel"},
                    Lenient{"TwoPaddedGroups", "aGk=aGk=", "hihi"},
                    Lenient{"PaddingInFront", "=aGk", std::string("\x01\xa1\xa4", 3)},
                    Lenient{"PaddingOnly", "====", std::string(1, '\0')}, Lenient{"TwoPaddings", "aA==", "h"},
                    Lenient{"PaddedMiddle", "aGk=aGVs", "hihel"}),
    [](const auto& one) { return std::string(one.param.name); });

class NotBase64 : public testing::TestWithParam<std::string> {};
TEST_P(NotBase64, IsRefused) {
    EXPECT_FALSE(measure_base64(GetParam()).has_value());
}
INSTANTIATE_TEST_SUITE_P(, NotBase64,
                         testing::Values("aG k", "aGk=\r\n", "aG-_", "a!", " ", "aGVs\x80",
                                         std::string(1, '\0'), "aGVsbG8*aGVs"));

TEST(Base64, DecodesWhatAbseilEncodes) {
    std::mt19937 random(1);
    for (std::size_t size = 0; size < 300; ++size) {
        std::string bytes(size, '\0');
        for (char& one : bytes) one = static_cast<char>(random());
        const std::string text = absl::Base64Escape(bytes);
        ASSERT_EQ(measure_base64(text), size);
        ASSERT_EQ(decode_by(text, 3 + random() % 100), bytes);
    }
}

TEST(Base64, EncodesPartsOfAnySizeAsOneText) {
    std::mt19937 random(2);
    for (int round = 0; round < 200; ++round) {
        std::string bytes(random() % 40'000, '\0');
        for (char& one : bytes) one = static_cast<char>(random());
        Base64Encoder encoder;
        std::string text;
        auto rest = std::as_bytes(std::span(bytes));
        while (!rest.empty()) {
            const std::size_t size = std::min<std::size_t>(rest.size(), random() % 20'000);
            encoder.append(rest.first(size), text);
            rest = rest.subspan(size);
        }
        encoder.finish(text);
        ASSERT_EQ(text, absl::Base64Escape(bytes));
    }
}

}  // namespace
}  // namespace sallyport::worker
