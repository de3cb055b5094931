// What the broker owes: to a worker its replies, to the admin one line for each request.
#pragma once

#include <algorithm>
#include <cstdint>
#include <map>
#include <set>
#include <string>
#include <vector>

#include "ipc/arena.hpp"
#include "ipc/broker.pb.h"
#include "schema/commands.hpp"

namespace sallyport::fuzz {

/// The conversation of one worker, as its own side sees it.
class WorkerView {
public:
    explicit WorkerView(std::uint64_t number) : number_(number) {}
    [[nodiscard]] std::uint64_t number() const { return number_; }
    [[nodiscard]] std::uint64_t last_seq() const { return last_seq_; }
    [[nodiscard]] bool is_greeted() const { return is_greeted_; }
    /// The transfer that goes on, or the last one; 0: none yet.
    [[nodiscard]] std::uint64_t transfer() const { return transfer_; }
    /// Requests that have no reply yet.
    [[nodiscard]] std::size_t unanswered() const;
    /// Whether that request has the reply that it was carried out.
    [[nodiscard]] bool is_done(std::uint64_t seq) const;
    void print() const;
    /// A write or a read of which parts are under way.
    [[nodiscard]] bool has_transfer() const;
    [[nodiscard]] bool knows_frozen() const { return knows_frozen_; }
    /// Whether its greeting named the command as one to ask about.
    [[nodiscard]] bool is_told_of(CommandId command) const {
        return std::ranges::find(enabled_, static_cast<std::uint32_t>(command)) != enabled_.end();
    }
    /// Bytes of a write that the broker has not been told of.
    std::uint64_t coming = 0;

    /// The broker took the frame.
    void asked(const ipc::Request& request);
    /// Gives back the request that was carried out and has to have its line, if the reply says so; else nullptr.
    /// THE PROMISES: a reply is about a request that has none yet, of its kind, and its data is the file's that was asked for.
    const ipc::Request* hear(const ipc::Reply& reply, const ipc::Arena& arena);

private:
    struct Asked {
        ipc::Request request;
        bool is_answered = false;
        bool is_done = false;
    };
    void hear_data(const Asked& asked, const ipc::Reply& reply, const ipc::Arena& arena) const;
    static void hear_program(const Asked& asked, const ipc::Reply& reply);
    static void hear_result(Asked& asked, const ipc::Reply& reply);
    void hear_unasked(const ipc::Reply& reply);
    std::uint64_t number_;
    std::uint64_t last_seq_ = 0;
    std::uint64_t transfer_ = 0;
    bool is_greeted_ = false;
    bool is_greeting_ = false;
    bool knows_frozen_ = false;
    std::vector<std::uint32_t> enabled_;
    std::map<std::uint64_t, Asked> requests_;
};

/// Which file each handle was given for. A handle is given once.
std::map<std::int64_t, std::string>& handles();

/// The programs that were started, and whether their ends were told. A number is given once, and an end told once.
std::map<std::int64_t, bool>& programs();

/// The audit lines that must be there.
class Book {
public:
    /// A request was taken: it has one line, now or later, or is counted in one.
    void expect(std::uint64_t worker, const ipc::Request& request);
    /// It was carried out: then it has a line, however full the memory for lines is. Not so of the floor.
    void expect_line(std::uint64_t worker, const ipc::Request& request);
    /// The worker was ended for a frame that may have become a request before it was found to be one of a violation.
    void expect_violation(std::uint64_t worker, const ipc::Request& request);
    /// THE PROMISE: the log has each line once, in order, and none that nobody asked for; and what is not in it is counted there.
    void compare(const std::string& log) const;

private:
    using Line = std::pair<std::uint64_t, std::string>;  // worker and what
    struct Found {
        std::map<Line, int> lines;
        std::map<std::string, int> unwritten;  // by what; came more often than its rate
        int lost = 0;                          // found no room
    };
    static std::string name_of(const ipc::Request& request);
    static Found read(const std::string& log);
    void compare_line(const Line& line, int count, Found& found) const;
    std::map<Line, int> lines_;
    std::map<Line, int> at_least_;
    std::map<Line, int> at_most_more_;
};

}  // namespace sallyport::fuzz
