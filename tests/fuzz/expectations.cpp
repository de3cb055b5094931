// What the broker owes: to a worker its replies, to the admin one line for each request.
#include "tests/fuzz/expectations.hpp"

#include <algorithm>
#include <string_view>

#include "broker/dispatch.hpp"
#include "ipc/limits.hpp"
#include "schema/commands.hpp"
#include "tests/fuzz/draw.hpp"
#include "tests/fuzz/fake_files.hpp"

namespace sallyport::fuzz {

namespace {

using Op = ipc::Request;

// While file systems are frozen the log waits in memory, which has an end.
const std::set<std::string, std::less<>> kMayBeLost{"guest-fsfreeze-status", "guest-fsfreeze-thaw",
                                                    "reply-dropped", "violation"};

bool has_parts(Op::CommandCase command) {
    return command == Op::kFileRead || command == Op::kFileWrite || command >= Op::kGetTime;
}

bool is_numbered(const ipc::Request& request) {
    return request.command_case() >= Op::kFileOpen || request.has_command_disabled();
}

std::string_view text_between(std::string_view line, std::string_view before, std::string_view after) {
    const std::size_t at = line.find(before);
    promise(at != line.npos, "a line has all its members");
    const std::string_view rest = line.substr(at + before.size());
    return rest.substr(0, rest.find(after));
}

std::uint64_t number_between(std::string_view line, std::string_view before) {
    return std::stoull(std::string(text_between(line, before, ",")));
}

}  // namespace

std::map<std::int64_t, std::string>& handles() {
    static std::map<std::int64_t, std::string> all;
    return all;
}

std::size_t WorkerView::unanswered() const {
    return static_cast<std::size_t>(
        std::ranges::count_if(requests_, [](const auto& one) { return !one.second.is_answered; }));
}

void WorkerView::print() const {
    for (const auto& [seq, asked] : requests_)
        if (!asked.is_answered)
            std::printf("worker %d: request %d, command %d, has no reply\n", static_cast<int>(number_),
                        static_cast<int>(seq), asked.request.command_case());
}

bool WorkerView::has_transfer() const {
    const auto at = requests_.find(transfer_);
    return at != requests_.end() && !at->second.is_answered;
}

void WorkerView::asked(const ipc::Request& request) {
    if (request.has_hello()) is_greeting_ = true;
    if (request.has_file_write()) coming = request.bulk().total() - request.bulk().first().size();
    if (request.has_chunk_filled() && request.seq() == transfer_)
        coming -= request.chunk_filled().data().size();
    if (!is_numbered(request)) return;
    last_seq_ = request.seq();
    if (has_parts(request.command_case())) transfer_ = request.seq();
    requests_[request.seq()] = {.request = request};
}

void WorkerView::hear(const ipc::Reply& reply, const ipc::Arena& arena) {
    if (reply.seq() == 0) {
        promise(!reply.has_data(), "what nobody asked for has no data");
        if (reply.has_welcome()) {
            promise(is_greeting_ && !is_greeted_, "a worker is welcomed once, when it greets");
            is_greeted_ = true;
            knows_frozen_ = reply.welcome().frozen();
            return;
        }
        promise(reply.has_frozen_state() && is_greeted_, "without a request there is only the frozen state");
        promise(reply.frozen_state().frozen() != knows_frozen_, "the frozen state is told when it changes");
        knows_frozen_ = !knows_frozen_;
        return;
    }
    const auto at = requests_.find(reply.seq());
    promise(at != requests_.end(), "a reply is about a request of this worker");
    promise(!at->second.is_answered, "a request has one reply");
    if (reply.has_data()) hear_data(at->second, reply, arena);
    hear_result(at->second, reply);
}

void WorkerView::hear_data(const Asked& asked, const ipc::Reply& reply, const ipc::Arena& arena) const {
    const auto data = arena.extent(reply.data().offset(), reply.data().size());
    promise(data.has_value() && data->size() <= kChunk, "an extent is a part of one chunk");
    if (!asked.request.has_file_read()) return;
    const std::byte content = content_of(handles()[asked.request.file_read().handle()]);
    promise(data->front() == content && data->back() == content,
            "what is read is of the file that was opened");
}

void WorkerView::hear_result(Asked& asked, const ipc::Reply& reply) {
    const auto command = asked.request.command_case();
    if (reply.has_chunk_used()) return promise(command == Op::kFileWrite, "parts are taken of a write only");
    if (reply.has_more())
        return promise(reply.has_data() && has_parts(command), "parts are given of what has parts only");
    asked.is_answered = true;
    if (reply.has_whole())
        return promise(reply.has_data() && command >= Op::kGetTime, "only a long reply comes in parts");
    if (reply.has_error()) return promise(!reply.has_data(), "an error has no data");
    promise(static_cast<int>(reply.result_case()) == static_cast<int>(command),
            "a reply is of the request's kind");
    if (!reply.has_file_open()) return;
    const std::string& path = asked.request.file_open().path();
    const bool is_new = handles().emplace(reply.file_open().handle(), path).second;
    promise(is_new, "a handle is given once");
}

std::string Book::name_of(const ipc::Request& request) {
    if (request.has_reply_dropped()) return "reply-dropped";
    if (request.has_command_disabled()) {
        const auto command = command_from_number(request.command_disabled().command());
        return command ? std::string(command_row(*command).name) : "command-disabled";
    }
    for (const broker::Operation& row : broker::operations())
        if (row.op == request.command_case() && is_numbered(request)) return std::string(row.name);
    return "";
}

void Book::expect(std::uint64_t worker, const ipc::Request& request) {
    const std::string name = name_of(request);
    if (!name.empty()) ++lines_[{worker, name}];
}

void Book::expect_violation(std::uint64_t worker, const ipc::Request& request) {
    ++lines_[{worker, "violation"}];
    const std::string name = name_of(request);
    if (!name.empty()) ++at_most_more_[{worker, name}];
}

namespace {

void note_unwritten(std::string_view line, std::map<std::string, int, std::less<>>& unwritten) {
    constexpr std::string_view kBegin = "\"unwritten\":{";
    if (line.find(kBegin) == line.npos) return;
    std::string_view left = text_between(line, kBegin, "}");
    while (!left.empty()) {
        const std::string_view one = left.substr(0, left.find(','));
        const std::size_t colon = one.find("\":");
        unwritten[std::string(one.substr(1, colon - 1))] += std::stoi(std::string(one.substr(colon + 2)));
        left.remove_prefix(std::min(left.size(), one.size() + 1));
    }
}

}  // namespace

void Book::compare(const std::string& log) const {
    std::map<Line, int> found;
    std::uint64_t seq = 0;
    std::uint64_t lost = 0;
    std::map<std::string, int, std::less<>>
        unwritten;  // counted instead of written, since there were so many
    for (std::string_view rest = log; !rest.empty(); rest = rest.substr(rest.find('\n') + 1)) {
        const std::string_view line = rest.substr(0, rest.find('\n'));
        if (line.find("\"lost\":") != line.npos) lost += number_between(line, "\"lost\":");
        promise(lost > 0 || number_between(line, "\"seq\":") == ++seq, "the log's lines are numbered");
        note_unwritten(line, unwritten);
        ++found[{number_between(line, "\"session\":"), std::string(text_between(line, "\"what\":\"", "\""))}];
    }
    for (const auto& [line, count] : lines_) {
        const int missing = count - found[line];
        const auto more = at_most_more_.find(line);
        promise(-missing <= (more == at_most_more_.end() ? 0 : more->second), "a request has one line");
        const int counted = std::min(missing, unwritten[line.second]);
        if (missing <= counted) {
            unwritten[line.second] -= std::max(counted, 0);
            continue;
        }
        std::printf("worker %zu: %s: %d lines are missing\n", static_cast<std::size_t>(line.first),
                    line.second.c_str(), missing);
        promise(static_cast<std::uint64_t>(missing) <= lost && kMayBeLost.contains(line.second),
                "a request has its line");
        lost -= static_cast<std::uint64_t>(missing);
    }
    for (const auto& [line, count] : found)
        if (find_command(line.second) && !lines_.contains(line))
            promise(at_most_more_.contains(line), "there is no line about what nobody asked for");
}

}  // namespace sallyport::fuzz
