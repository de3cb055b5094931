// A session of the broker with a worker, a guard and an inspector that the test plays, without any process.
#pragma once

#include <fcntl.h>
#include <gtest/gtest.h>
#include <poll.h>

#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "broker/files/clerk.hpp"
#include "broker/serve/dispatch.hpp"
#include "broker/serve/file_work.hpp"
#include "broker/serve/freezing.hpp"
#include "ipc/channel.hpp"
#include "ipc/codec.hpp"
#include "ipc/guard.pb.h"
#include "ipc/handover.hpp"
#include "ipc/inspected.hpp"
#include "ipc/inspector.pb.h"
#include "ipc/limits.hpp"
#include "scratch.hpp"

namespace sallyport::broker {

class Room : public testing::Test {
protected:
    explicit Room(const std::string& hooks = {}) { make_policy(hooks); }

    void SetUp() override {
        auto ring = ipc::Ring::create();
        ASSERT_TRUE(ring);
        auto mapped = ipc::Ring::map(UniqueFd(::fcntl(ring->fd().get(), F_DUPFD_CLOEXEC, 3)));
        ASSERT_TRUE(mapped);
        ring_.emplace(*std::move(mapped));
        auto audit = Audit::open(*std::move(ring), connect(recorder_), policy_);
        ASSERT_TRUE(audit);
        audit_.emplace(*std::move(audit));
        make_session();
        worker_ = connect(workers_end_);
        session_->worker.number = 1;
        greet();
    }
    void TearDown() override {
        if (session_) abandon_all(*session_, *audit_);
        // The clerk ends with its socket.
        session_.reset();
        if (clerk_.joinable()) clerk_.join();
    }

    [[nodiscard]] Context context() { return {*session_, *audit_, worker_, bytes_}; }

    /// The worker sends a request with the next number.
    std::optional<Violation> ask(ipc::Request request) {
        request.set_seq(session_->worker.last_seq + 1);
        return say(request);
    }
    template <typename Command>
    std::optional<Violation> ask(Command command) {
        ipc::Request request;
        (void)(request.*command)();
        return ask(request);
    }
    std::optional<Violation> ask_about(CommandId command) {
        ipc::Request request;
        request.mutable_inspect()->set_command(static_cast<std::uint32_t>(command));
        return ask(request);
    }
    std::optional<Violation> say(const ipc::Request& request) {
        std::string bytes;
        ipc::encode(request, bytes);
        EXPECT_TRUE(ipc::send(workers_end_, bytes, ipc::WhenFull::kFail));
        EXPECT_TRUE(ipc::receive(worker_, wire_.frame).value_or(false));
        const auto violation = handle_frame(context(), wire_);
        settle();
        return violation;
    }
    void greet() {
        ipc::Request hello;
        hello.mutable_hello();
        EXPECT_FALSE(say(hello));
        EXPECT_TRUE(hear(workers_end_, welcome_) && welcome_.has_welcome());
    }
    /// The worker ends, and another begins.
    void replace_worker() {
        const std::uint64_t number = session_->worker.number;
        forget_worker(*session_, *audit_);
        session_->worker.number = number + 1;
        greet();
    }
    /// The worker's next frame; empty if there is none.
    ipc::Reply reply() {
        ipc::Reply reply;
        hear(workers_end_, reply);
        return reply;
    }
    /// The guard's next order; empty if there is none.
    ipc::GuardRequest order() {
        ipc::GuardRequest order;
        hear(guards_end_, order);
        return order;
    }
    /// The inspector's next order; empty if there is none. It takes the socket of a new child.
    ipc::InspectorRequest inspectors_order() {
        ipc::InspectorRequest order;
        ipc::Frame frame;
        std::vector<UniqueFd> given;
        std::string scratch;
        const auto got = ipc::take(inspectors_end_, frame, given);
        if (!got || !*got) return order;
        EXPECT_TRUE(ipc::decode(frame.bytes, order, scratch));
        EXPECT_EQ(given.size(), order.has_begin_child() ? 1U : 0U);
        if (!given.empty()) childs_end_ = std::move(given.front());
        return order;
    }
    /// The next query of the inspector's child; empty if there is none.
    ipc::Query query() {
        while (inspectors_order().op_case() != ipc::InspectorRequest::OP_NOT_SET) continue;
        ipc::Query asked;
        hear(childs_end_, asked);
        return asked;
    }
    void child_says(ipc::Word word, std::string_view data = {}) {
        take_inspected(context(), static_cast<char>(word) + std::string(data));
    }
    void guard_says(const ipc::GuardReply& report) {
        std::string bytes;
        ipc::encode(report, bytes);
        ASSERT_TRUE(ipc::send(guards_end_, bytes, ipc::WhenFull::kFail));
        EXPECT_TRUE(hear_guard(context()));
    }
    /// What has come into the log since the last call.
    std::vector<std::string> lines() {
        std::vector<std::string> all;
        std::string line;
        while (ring_->take(position_, line).value_or(false)) all.push_back(line);
        return all;
    }
    [[nodiscard]] bool is_log_held() const { return ring_->words().is_held != 0; }

    ScratchDirectory scratch_;
    policy::Policy policy_;
    std::optional<ipc::Ring> ring_;
    std::uint64_t position_ = 0;
    std::optional<Audit> audit_;
    std::unique_ptr<Session> session_;
    UniqueFd recorder_, worker_, workers_end_, guards_end_, inspectors_end_, childs_end_;
    ipc::Reply welcome_;

    Wire wire_;

private:
    static UniqueFd connect(UniqueFd& other_end) {
        auto pair = ipc::socket_pair();
        EXPECT_TRUE(pair);
        other_end = std::move(pair->second);
        return std::move(pair->first);
    }
    static bool hear(FdRef socket, google::protobuf::MessageLite& message) {
        ipc::Frame frame;
        const auto got = ipc::receive(socket, frame);
        std::string scratch;
        return got && *got && ipc::decode(frame.bytes, message, scratch);
    }
    void make_policy(const std::string& hooks) {
        policy::Rule rule{.id = "all", .effect = policy::Effect::kAllow};
        policy::FileRule files{.under = scratch_.path(),
                               .access = {.read = true, .write = true, .create = true}};
        files.kinds.regular = true;
        rule.files.push_back(files);
        rule.freeze.emplace();
        rule.hooks = hooks;
        rule.modes.set(static_cast<std::size_t>(policy::Mode::kPowerdown));
        for (const Command& row : kCommands) {
            policy_.narrowed_to.add(row.id);
            if (row.id != CommandId::kGetLoad) rule.commands.add(row.id);
        }
        policy_.rules = {rule};
        policy_.digest = std::string(32, 'd');
    }
    void make_session() {
        auto mark = guard::FrozenMark::open(scratch_.fd());
        auto arena = ipc::Arena::create();
        ASSERT_TRUE(mark && arena);
        ASSERT_TRUE(mark->set(false));
        session_ = std::make_unique<Session>(Session{.policy = policy_,
                                                     .start_directory = "/",
                                                     .handles = HandleCounter(UniqueFd(), kFirstHandle),
                                                     .clock = ExpiryClock(0, read_clocks()),
                                                     .arena = *std::move(arena),
                                                     .inspector = Inspector(connect(inspectors_end_)),
                                                     .files = {},
                                                     .freezing = {},
                                                     .worker = {},
                                                     .launch = {}});
        start_clerk();
        session_->freezing.guard = connect(guards_end_);
        session_->freezing.rows = {0};
        session_->freezing.mark = *std::move(mark);
    }
    /// The files hand has one clerk, which is the real one but for its confinement.
    void start_clerk() {
        auto table = files::Table::build(policy_, {});
        ASSERT_TRUE(table);
        table_.emplace(*std::move(table));
        UniqueFd socket;
        const UniqueFd brokers_end = connect(socket);
        clerk_ = std::thread([this, end = std::move(socket)]() mutable {
            files::Clerk(std::move(end), *table_, ExpiryClock(0, read_clocks())).run();
        });
        session_->files_hand = FilesHand(connect(hands_end_));
        ASSERT_TRUE(session_->files_hand.want_clerk());
        ipc::FilesReply started;
        started.mutable_clerk_started()->set_clerk(1);
        std::string frame;
        ipc::encode(started, frame);
        const FdRef given(brokers_end);
        ASSERT_TRUE(ipc::give(hands_end_, frame, std::span(&given, 1)));
        ASSERT_EQ(session_->files_hand.hear_parent(), 0);
    }
    /// Hears the clerk as long as it is at work.
    void settle() {
        std::vector<pollfd> wanted;
        while (session_->files_hand.first_due()) {
            wanted.clear();
            session_->files_hand.add_at_work(wanted);
            ASSERT_GT(::poll(wanted.data(), wanted.size(), 10'000), 0);
            hear_clerks(context());
        }
    }
    std::optional<files::Table> table_;
    std::thread clerk_;
    UniqueFd hands_end_;
    std::string bytes_;
};

inline bool has(const std::string& line, std::string_view part) {
    return line.find(part) != line.npos;
}

}  // namespace sallyport::broker
