// verify-log: whether the lines of an audit log, in all its files, are those that were written.
//
// Each line has the hash of the previous line, also across files. So a line that was changed, removed or inserted shows at the
// following line. Lines cut off at the end do not show: keep the last hash elsewhere.
#include <cerrno>
#include <cstdint>
#include <cstring>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "policy/tool/compile/problems.hpp"
#include "policy/tool/log/chain.hpp"
#include "policy/tool/log/lines.hpp"
#include "policy/tool/verbs/files.hpp"
#include "policy/tool/verbs/json.hpp"
#include "policy/tool/verbs/logs.hpp"
#include "policy/tool/verbs/verb.hpp"

namespace sallyport::policy::cli {

namespace {

constexpr int kUnusable = 2;
constexpr std::string_view kTime = "{\"time\":\"";
constexpr std::size_t kTimeSize = 27;

struct Fault {
    std::string file;
    std::uint64_t line = 0;
    std::string what;
};

/// What is known of one file.
struct Piece {
    std::string name;
    std::uint64_t lines = 0;
    std::uint64_t cut = 0;  // lines cut off by a crash of the machine
    log::Ends ends;
};

/// The first line that does not go on from the one before it; errno is set, and `is_unusable`, if the file cannot be read.
std::optional<Fault> read(FdRef file, Piece& piece, bool& is_unusable) {
    log::Lines lines(file);
    log::Chain chain;
    std::string_view line;
    for (;;) {
        const auto got = lines.next(line);
        is_unusable = got == log::Lines::Got::kFault;
        if (is_unusable || got == log::Lines::Got::kEnd) break;
        piece.lines = lines.number();
        const auto fault = [&](const char* what) {
            return Fault{.file = piece.name, .line = piece.lines, .what = what};
        };
        if (got == log::Lines::Got::kTooLong) return fault("is longer than any line of the log");
        if (!chain.take(line)) return fault("does not follow the line before it");
        if (!chain.was_whole()) ++piece.cut;
        if (piece.lines == 1) piece.ends.begins_after = log::previous_of(line);
        if (piece.ends.time.empty() && line.starts_with(kTime))
            piece.ends.time = line.substr(kTime.size(), kTimeSize);
    }
    piece.ends.last = chain.last();
    return std::nullopt;
}

/// Sorts the pieces into the order of the chain. A piece that follows none is a fault, except the oldest.
std::optional<Fault> order(std::vector<Piece>& pieces) {
    std::vector<log::Ends> ends;
    for (const Piece& piece : pieces) ends.push_back(piece.ends);
    const log::Order found = log::order_of(ends);
    if (found.fork)
        return Fault{
            .file = pieces[*found.fork].name, .line = 1, .what = "another file goes on from the same line"};
    if (found.chains.size() != 1)
        return Fault{
            .file = pieces[found.chains[1].front()].name,
            .line = 1,
            .what = "follows no line of the other files: a file is missing, or lines were cut off its end"};
    std::vector<Piece> sorted;
    for (const std::size_t at : found.chains.front()) sorted.push_back(pieces[at]);
    pieces = std::move(sorted);
    return std::nullopt;
}

int tell_fault(const Fault& fault, bool as_json) {
    if (as_json)
        print(JsonObject()
                  .add("holds", false)
                  .add("file", fault.file)
                  .add("line", fault.line)
                  .add("reason", fault.what)
                  .text() +
              "\n");
    else
        print(compile::printable(fault.file, 4096) + ":" + std::to_string(fault.line) + ": " + fault.what +
              "\n");
    return kFailure;
}

void tell_good(const std::vector<Piece>& pieces, bool as_json) {
    std::uint64_t lines = 0, cut = 0;
    std::vector<std::string> names;
    std::string text;
    for (const Piece& piece : pieces) {
        lines += piece.lines;
        cut += piece.cut;
        names.push_back(piece.name);
        text += compile::printable(piece.name, 4096) + ": " + std::to_string(piece.lines) + " lines\n";
    }
    const bool is_beginning = pieces.front().ends.begins_after == std::string(log::kHashSize, '0');
    const std::string& last = pieces.back().ends.last;
    if (as_json)
        return print(JsonObject()
                         .add("holds", true)
                         .add_value("files", json_strings(names))
                         .add("lines", lines)
                         .add("cut", cut)
                         .add("from_beginning", is_beginning)
                         .add("last", last)
                         .text() +
                     "\n");
    text += "the chain holds over " + std::to_string(lines) + " lines" +
            (is_beginning ? " from its beginning" : "") + "; the last has the hash " + last + "\n";
    if (cut != 0) text += std::to_string(cut) + " lines were cut off when the machine stopped\n";
    print(text);
}

int unusable(const std::string& name) {
    complain(describe(name, system_error("cannot be read").error()));
    return kUnusable;
}

}  // namespace

int run_verify_log(const std::vector<std::string>& names, bool as_json) {
    const auto files = open_logs(names);
    if (!files) return kUnusable;
    std::vector<Piece> pieces;
    for (const log::Source& source : files->logs.sources()) {
        Piece piece{.name = source.name};
        bool is_unusable = false;
        if (const auto fault = read(source.file, piece, is_unusable)) return tell_fault(*fault, as_json);
        if (is_unusable) return unusable(source.name);
        if (piece.lines != 0) pieces.push_back(std::move(piece));
    }
    if (pieces.empty()) {
        complain("sallyport-policy: there is no line in these files\n");
        return kUnusable;
    }
    if (const auto fault = order(pieces)) return tell_fault(*fault, as_json);
    tell_good(pieces, as_json);
    return kSuccess;
}

}  // namespace sallyport::policy::cli
