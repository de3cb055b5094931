// verify-log: whether the lines of an audit log, in all its files, are those that were written.
//
// Each line has the hash of the previous line, also across files. So a line that was changed, removed or inserted shows at the
// following line. Lines cut off at the end do not show: keep the last hash elsewhere.
#include <fcntl.h>
#include <sha256.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/unique_fd.hpp"
#include "policy/tool/verbs/json.hpp"
#include "policy/tool/verbs/verb.hpp"

namespace sallyport::policy::cli {

namespace {

constexpr int kUnusable = 2;
constexpr std::size_t kBuffer = std::size_t{1} << 20U;
constexpr std::size_t kMaxLine = std::size_t{64} << 10U;
constexpr std::string_view kMember = ",\"prev\":\"";
constexpr std::size_t kHashSize = 64;
constexpr std::size_t kSuffix = kMember.size() + kHashSize + 2;
constexpr std::string_view kClosed = R"({"verdict":"note","what":"log-closed")";

struct Fault {
    std::string file;
    std::uint64_t line = 0;
    std::string what;
};

/// What is known of one file.
struct Piece {
    std::string name;
    std::uint64_t lines = 0;
    std::uint64_t cut = 0;     // lines cut off by a crash of the machine
    std::string begins_after;  // hash of the line before the first; empty if the first is cut off
    std::string last;          // hash of the last
    std::string time;          // of the first line that has one
    bool is_closed = false;    // its last line says so
};

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

/// The hash of the previous line in `line`; empty if `line` is not a whole line.
std::string_view previous_of(std::string_view line) {
    if (line.size() <= kSuffix || line.front() != '{' || !line.ends_with("\"}")) return {};
    const std::string_view suffix = line.substr(line.size() - kSuffix);
    return suffix.starts_with(kMember) ? suffix.substr(kMember.size(), kHashSize) : std::string_view();
}

/// Reads a file from beginning to end, in pieces.
class Reading {
public:
    explicit Reading(Piece& piece) : piece_(piece) {}

    /// Takes the next line, without its LF. On a line that does not follow the previous one, sets a fault and returns false.
    bool take(std::string_view line) {
        ++piece_.lines;
        const std::string_view previous = previous_of(line);
        if (previous.empty())
            ++piece_.cut;
        else if (piece_.lines == 1)
            piece_.begins_after = previous;
        else if (previous != piece_.last)
            return fail("does not follow the line before it");
        if (piece_.time.empty() && line.starts_with("{\"time\":\"")) piece_.time = line.substr(9, 27);
        piece_.last = hash_of(line);
        piece_.is_closed = line.starts_with(kClosed);
        return true;
    }
    bool fail(const char* what) {
        fault_ = Fault{.file = piece_.name, .line = piece_.lines, .what = what};
        return false;
    }
    [[nodiscard]] const std::optional<Fault>& fault() const { return fault_; }

private:
    Piece& piece_;
    std::optional<Fault> fault_;
};

/// Passes each whole line of `file` to `reading`, and at the end what follows the last LF. False if a read fails.
bool read_lines(FdRef file, Reading& reading) {
    const auto buffer = std::make_unique<std::array<char, kBuffer>>();
    std::size_t held = 0;
    for (;;) {
        const ssize_t got = ::read(file.get(), buffer->data() + held, kBuffer - held);
        if (got < 0 && errno == EINTR) continue;
        if (got < 0) return false;
        if (got == 0) break;
        std::string_view left(buffer->data(), held + static_cast<std::size_t>(got));
        for (std::size_t end = 0; (end = left.find('\n')) != left.npos; left.remove_prefix(end + 1))
            if (!reading.take(left.substr(0, end))) return true;
        if (left.size() > kMaxLine) {
            reading.take({});
            reading.fail("is longer than any line of the log");
            return true;
        }
        std::memmove(buffer->data(), left.data(), left.size());
        held = left.size();
    }
    if (held != 0) reading.take({buffer->data(), held});
    return true;
}

/// Sorts the pieces into the order of the chain. A piece that follows none is a fault, except the oldest.
std::optional<Fault> order(std::vector<Piece>& pieces) {
    std::map<std::string, const Piece*> by_last;
    for (const Piece& piece : pieces) by_last.emplace(piece.last, &piece);
    std::vector<const Piece*> beginnings;
    std::map<const Piece*, const Piece*> followed_by;
    for (const Piece& piece : pieces) {
        const auto before = by_last.find(piece.begins_after);
        if (before == by_last.end())
            beginnings.push_back(&piece);
        else if (!followed_by.emplace(before->second, &piece).second)
            return Fault{.file = piece.name, .line = 1, .what = "another file goes on from the same line"};
    }
    std::ranges::sort(beginnings, {}, [](const Piece* piece) { return piece->time; });
    if (beginnings.size() != 1)
        return Fault{
            .file = beginnings.empty() ? pieces.front().name : beginnings[1]->name,
            .line = 1,
            .what = "follows no line of the other files: a file is missing, or lines were cut off its end"};
    std::vector<Piece> sorted;
    for (const Piece* piece = beginnings.front(); piece != nullptr;) {
        sorted.push_back(*piece);
        const auto next = followed_by.find(piece);
        piece = next == followed_by.end() ? nullptr : next->second;
    }
    pieces = std::move(sorted);
    return std::nullopt;
}

int tell_fault(const Fault& fault, bool as_json) {
    if (as_json)
        std::printf("{\"holds\":false,\"file\":%s,\"line\":%ju,\"reason\":%s}\n",
                    json_string(fault.file).c_str(), std::uintmax_t{fault.line},
                    json_string(fault.what).c_str());
    else
        std::printf("%s:%ju: %s\n", fault.file.c_str(), std::uintmax_t{fault.line}, fault.what.c_str());
    return kFailure;
}

void tell_good(const std::vector<Piece>& pieces, bool as_json) {
    std::uint64_t lines = 0, cut = 0;
    std::string names;
    for (const Piece& piece : pieces) {
        lines += piece.lines;
        cut += piece.cut;
        names += (names.empty() ? "" : ",") + json_string(piece.name);
        if (!as_json) std::printf("%s: %ju lines\n", piece.name.c_str(), std::uintmax_t{piece.lines});
    }
    const std::string& first = pieces.front().begins_after;
    const bool is_beginning = first == std::string(kHashSize, '0');
    if (as_json) {
        std::printf(
            "{\"holds\":true,\"files\":[%s],\"lines\":%ju,\"cut\":%ju,\"from_beginning\":%s,\"last\":\"%s\"}"
            "\n",
            names.c_str(), std::uintmax_t{lines}, std::uintmax_t{cut}, is_beginning ? "true" : "false",
            pieces.back().last.c_str());
        return;
    }
    std::printf("the chain holds over %ju lines%s; the last has the hash %s\n", std::uintmax_t{lines},
                is_beginning ? " from its beginning" : "", pieces.back().last.c_str());
    if (cut != 0) std::printf("%ju lines were cut off when the machine stopped\n", std::uintmax_t{cut});
}

int unusable(const std::string& name) {
    std::fprintf(stderr, "sallyport-policy: %s: %s\n", name.c_str(), std::strerror(errno));
    return kUnusable;
}

}  // namespace

int run_verify_log(const std::vector<std::string>& names, bool as_json) {
    std::vector<Piece> pieces;
    for (const std::string& name : names) {
        const UniqueFd file(::open(name.c_str(), O_RDONLY | O_CLOEXEC | O_NOCTTY));
        if (!file.is_open()) return unusable(name);
        Piece piece{.name = name};
        Reading reading(piece);
        if (!read_lines(file, reading)) return unusable(name);
        if (reading.fault()) return tell_fault(*reading.fault(), as_json);
        if (piece.lines != 0) pieces.push_back(std::move(piece));
    }
    if (pieces.empty()) {
        std::fputs("sallyport-policy: there is no line in these files\n", stderr);
        return kUnusable;
    }
    if (const auto fault = order(pieces)) return tell_fault(*fault, as_json);
    tell_good(pieces, as_json);
    return kSuccess;
}

}  // namespace sallyport::policy::cli
