// Repeats an audit log until it has so many lines: its time goes on, its chain holds, and no file of one round is that of another.
//
// usage: longer LOG LINES
#include <sha256.h>
#include <array>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <ctime>
#include <fstream>
#include <string>
#include <vector>

namespace {

constexpr std::size_t kTimeAt = sizeof(R"({"time":")") - 1;
constexpr std::size_t kTimeLength = sizeof("2026-11-01T00:00:00") - 1;

std::time_t time_of(const std::string& line) {
    std::tm parts{};
    ::strptime(line.c_str() + kTimeAt, "%Y-%m-%dT%H:%M:%S", &parts);
    return ::timegm(&parts);
}

void set_time(std::string& line, std::time_t time) {
    std::tm parts{};
    ::gmtime_r(&time, &parts);
    std::array<char, 32> text{};
    std::strftime(text.data(), text.size(), "%Y-%m-%dT%H:%M:%S", &parts);
    line.replace(kTimeAt, kTimeLength, text.data());
}

/// Puts `to` where `end` ends what begins behind `name`.
void set(std::string& line, const std::string& name, char end, const std::string& to) {
    const std::size_t begin = line.find(name);
    if (begin == line.npos) std::exit(1);
    const std::size_t from = begin + name.size();
    line.replace(from, line.find(end, from) - from, to);
}

class Writer {
public:
    void write(std::string& line) {
        set(line, R"("seq":)", ',', std::to_string(++sequence_));
        set(line, R"("prev":")", '"', previous_);
        std::array<char, SHA256_DIGEST_STRING_LENGTH> digest{};
        // NOLINTNEXTLINE(cppcoreguidelines-pro-type-reinterpret-cast): what libmd asks for
        ::SHA256Data(reinterpret_cast<const std::uint8_t*>(line.data()), line.size(), digest.data());
        previous_ = digest.data();
        line += '\n';
        if (std::fwrite(line.data(), 1, line.size(), stdout) != line.size()) std::exit(1);
    }
    [[nodiscard]] std::uint64_t written() const { return sequence_; }

private:
    std::uint64_t sequence_ = 0;
    std::string previous_ = std::string(64, '0');
};

}  // namespace

int main(int argc, char** argv) {
    if (argc != 3) return 2;
    std::ifstream file(argv[1]);
    std::vector<std::string> lines;
    for (std::string line; std::getline(file, line);) lines.push_back(line);
    if (lines.empty()) return 1;
    const std::uint64_t count = std::strtoull(argv[2], nullptr, 10);
    const std::time_t length = time_of(lines.back()) - time_of(lines.front()) + 1;
    Writer writer;
    for (std::uint64_t round = 0;; ++round) {
        for (std::string line : lines) {
            if (writer.written() == count) return std::fflush(stdout) == 0 ? 0 : 1;
            if (round != 0) {
                set_time(line, time_of(line) + static_cast<std::time_t>(round) * length);
                if (const auto at = line.find(".csv"); at != line.npos)
                    line.insert(at, "-" + std::to_string(round));
            }
            writer.write(line);
        }
    }
}
