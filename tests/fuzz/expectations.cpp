// What the broker owes: to a worker its replies, to the admin one line for each request.
#include "tests/fuzz/expectations.hpp"

#include <algorithm>
#include <string_view>

#include "broker/serve/dispatch.hpp"
#include "ipc/limits.hpp"
#include "schema/commands.hpp"
#include "tests/fuzz/draw.hpp"
#include "tests/fuzz/played_files.hpp"
#include "tests/fuzz/played_launcher.hpp"

namespace sallyport::fuzz {

namespace {

using Op = ipc::Request;

bool has_parts(Op::CommandCase command) {
    return command == Op::kFileRead || command == Op::kFileWrite || command == Op::kInspect ||
           command == Op::kExecStatus;
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

int number_between(std::string_view line, std::string_view before) {
    return std::stoi(std::string(text_between(line, before, ",")));
}

bool is_written_by(std::int64_t number, std::string_view text) {
    return std::ranges::all_of(text,
                               [&](char one) { return static_cast<std::byte>(one) == written_by(number); });
}

bool is_floor(const std::string& name) {
    const auto command = find_command(name);
    return command && command_row(*command).floor == Floor::kYes;
}

// The launcher's part of it is played; one that was taken over says that it lies.
void hear_change(const ipc::Request& asked, const ipc::Reply& reply) {
    for (const std::string& key : reply.ssh_get_authorized_keys().keys())
        promise(key.starts_with("of " + asked.ssh_get_authorized_keys().username().substr(0, 16)) ||
                    key.starts_with("of a lie"),
                "keys are told of the user who was asked for");
    if (reply.has_set_vcpus())
        promise(reply.set_vcpus().processed() >= 0 &&
                    reply.set_vcpus().processed() <= asked.set_vcpus().vcpus_size(),
                "no more processors are done than were asked for");
    const auto& told = reply.set_memory_blocks().blocks();
    const auto& wanted = asked.set_memory_blocks().mem_blks();
    if (reply.has_set_memory_blocks())
        promise(std::ranges::equal(
                    told, wanted, {}, [](const auto& one) { return one.phys_index(); },
                    [](const auto& one) { return one.phys_index(); }),
                "each block that was asked for has its result");
}

}  // namespace

std::map<std::int64_t, std::string>& handles() {
    static std::map<std::int64_t, std::string> all;
    return all;
}

std::map<std::int64_t, bool>& programs() {
    static std::map<std::int64_t, bool> all;
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

bool WorkerView::is_done(std::uint64_t seq) const {
    const auto at = requests_.find(seq);
    return at != requests_.end() && at->second.is_done;
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

const ipc::Request* WorkerView::hear(const ipc::Reply& reply, const ipc::Arena& arena) {
    if (reply.seq() == 0) return hear_unasked(reply), nullptr;
    const auto at = requests_.find(reply.seq());
    promise(at != requests_.end(), "a reply is about a request of this worker");
    Asked& asked = at->second;
    promise(!asked.is_answered, "a request has one reply");
    if (reply.has_data()) hear_data(asked, reply, arena);
    hear_result(asked, reply);
    asked.is_done = asked.is_answered && !reply.has_error();
    // Whether a program still runs a host asks so often that it is only counted.
    const bool is_poll = reply.has_exec_status() && !reply.exec_status().exited();
    return asked.is_done && !is_poll ? &asked.request : nullptr;
}

void WorkerView::hear_unasked(const ipc::Reply& reply) {
    promise(!reply.has_data(), "what nobody asked for has no data");
    if (reply.has_welcome()) {
        promise(is_greeting_ && !is_greeted_, "a worker is welcomed once, when it greets");
        is_greeted_ = true;
        knows_frozen_ = reply.welcome().frozen();
        enabled_.assign(reply.welcome().enabled().begin(), reply.welcome().enabled().end());
        return;
    }
    promise(reply.has_frozen_state() && is_greeted_, "without a request there is only the frozen state");
    promise(reply.frozen_state().frozen() != knows_frozen_, "the frozen state is told when it changes");
    knows_frozen_ = !knows_frozen_;
}

void WorkerView::hear_data(const Asked& asked, const ipc::Reply& reply, const ipc::Arena& arena) const {
    const auto data = arena.extent(reply.data().offset(), reply.data().size());
    promise(data.has_value() && data->size() <= kChunk, "an extent is a part of one chunk");
    if (asked.request.has_exec_status()) {
        const std::byte written = written_by(asked.request.exec_status().pid());
        promise(data->front() == written && data->back() == written,
                "what is told of a program is what that one wrote");
    }
    if (!asked.request.has_file_read()) return;
    // The reply with the handle may have been on its way to a worker that ended.
    const auto opened = handles().find(asked.request.file_read().handle());
    if (opened == handles().end()) return;
    const std::byte content = content_of(opened->second);
    promise(data->front() == content && data->back() == content,
            "what is read is of the file that was opened");
}

void WorkerView::hear_program(const Asked& asked, const ipc::Reply& reply) {
    if (reply.has_exec())
        promise(programs().emplace(reply.exec().pid(), false).second, "a number is given once");
    if (!reply.has_exec_status()) return;
    const std::int64_t number = asked.request.exec_status().pid();
    const schema::ExecStatusReply& status = reply.exec_status();
    promise(is_written_by(number, status.out_data()) && is_written_by(number, status.err_data()),
            "what is told of a program is what that one wrote");
    promise(!programs()[number], "of a program whose end was told nothing is known");
    programs()[number] = status.exited();
}

void WorkerView::hear_result(Asked& asked, const ipc::Reply& reply) {
    const auto command = asked.request.command_case();
    if (reply.has_chunk_used()) return promise(command == Op::kFileWrite, "parts are taken of a write only");
    if (reply.has_more())
        return promise(reply.has_data() && has_parts(command), "parts are given of what has parts only");
    asked.is_answered = true;
    if (reply.has_relayed()) {
        promise(reply.relayed().command() == asked.request.inspect().command(),
                "what the inspector says comes under the command that was asked for");
        promise(!reply.has_data() || reply.relayed().inspected().empty(),
                "what comes in parts is in the arena");
    }
    if (reply.has_error()) return promise(!reply.has_data(), "an error has no data");
    promise(static_cast<int>(reply.result_case()) == static_cast<int>(command),
            "a reply is of the request's kind");
    hear_program(asked, reply);
    hear_change(asked.request, reply);
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
    if (request.has_inspect()) {
        const auto command = command_from_number(request.inspect().command());
        const bool looks = command && command_row(*command).answered_by == AnsweredBy::kInspector;
        return looks ? std::string(command_row(*command).name) : "";
    }
    for (const broker::Operation& row : broker::operations())
        if (row.op == request.command_case() && is_numbered(request)) return std::string(row.name);
    return "";
}

void Book::expect(std::uint64_t worker, const ipc::Request& request) {
    const std::string name = name_of(request);
    if (!name.empty()) ++lines_[{worker, name}];
}

void Book::expect_line(std::uint64_t worker, const ipc::Request& request) {
    const std::string name = name_of(request);
    if (!is_floor(name)) ++at_least_[{worker, name}];
}

void Book::expect_violation(std::uint64_t worker, const ipc::Request& request) {
    ++lines_[{worker, "violation"}];
    const std::string name = name_of(request);
    if (!name.empty()) ++at_most_more_[{worker, name}];
}

Book::Found Book::read(const std::string& log) {
    Found found;
    int seq = 0;
    for (std::string_view rest = log; !rest.empty(); rest = rest.substr(rest.find('\n') + 1)) {
        const std::string_view line = rest.substr(0, rest.find('\n'));
        const int lost = line.find("\"lost\":") == line.npos ? 0 : number_between(line, "\"lost\":");
        found.lost += lost;
        seq += lost + 1;
        promise(number_between(line, "\"seq\":") == seq,
                "the log's lines are numbered, and what is missing is counted");
        const auto worker = static_cast<std::uint64_t>(number_between(line, "\"session\":"));
        ++found.lines[{worker, std::string(text_between(line, "\"what\":\"", "\""))}];
        if (line.find("\"unwritten\":{") == line.npos) continue;
        std::string_view counts = text_between(line, "\"unwritten\":{", "}");
        while (!counts.empty()) {
            const std::string name(text_between(counts, "\"", "\""));
            found.unwritten[name] += number_between(counts, "\":");
            counts = counts.find(',') == counts.npos ? "" : counts.substr(counts.find(',') + 1);
        }
    }
    return found;
}

void Book::compare_line(const Line& line, int count, Found& found) const {
    const int missing = count - found.lines[line];
    const auto more = at_most_more_.find(line);
    promise(-missing <= (more == at_most_more_.end() ? 0 : more->second), "a request has one line");
    if (missing <= 0) return;
    const auto done = at_least_.find(line);
    promise(done == at_least_.end() || found.lines[line] >= done->second,
            "a request that was carried out has its line");
    int& unwritten = found.unwritten[line.second];
    const int counted = std::min(missing, unwritten);
    unwritten -= counted;
    found.lost -= missing - counted;
    if (found.lost < 0)
        std::printf("worker %d: %s: %d lines are missing\n", static_cast<int>(line.first),
                    line.second.c_str(), missing);
    promise(found.lost >= 0, "a request has its line, or is counted");
}

void Book::compare(const std::string& log) const {
    Found found = read(log);
    for (const auto& [line, count] : lines_) compare_line(line, count, found);
    for (const auto& [line, count] : found.lines)
        if (find_command(line.second) && !lines_.contains(line))
            promise(at_most_more_.contains(line), "there is no line about what nobody asked for");
}

}  // namespace sallyport::fuzz
