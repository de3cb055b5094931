// What the broker takes from clerks, and how many it wants. The test plays the hand's parent and its clerks.
#include "broker/serve/files_hand.hpp"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <map>
#include <set>
#include <string>

#include "ipc/codec.hpp"
#include "ipc/limits.hpp"

namespace sallyport::broker {
namespace {

using Order = ipc::FileOrder;
using Report = ipc::FileReport;

class ClerksOf : public testing::Test {
protected:
    ClerksOf() {
        auto pair = ipc::socket_pair();
        parent_ = std::move(pair->second);
        hand_ = FilesHand(std::move(pair->first));
    }
    /// The parent does what it was told. It knows of all that live.
    void obey() {
        while (const auto told = hear<ipc::FilesRequest>(parent_)) {
            if (told->has_kill_clerk()) {
                to_bury_.insert(told->kill_clerk().clerk());
                continue;
            }
            auto pair = ipc::socket_pair();
            clerks_[++last_] = std::move(pair->second);
            living_.insert(last_);
            EXPECT_LE(living_.size(), kMaxClerks);
            ipc::FilesReply reply;
            reply.mutable_clerk_started()->set_clerk(last_);
            say(parent_, reply, pair->first);
            EXPECT_EQ(hand_.hear_parent(), 0);
        }
    }
    /// It says that a clerk has ended.
    void bury(std::uint64_t clerk) {
        living_.erase(clerk);
        clerks_.erase(clerk);
        ipc::FilesReply reply;
        reply.mutable_clerk_ended()->set_clerk(clerk);
        say(parent_, reply);
        EXPECT_EQ(hand_.hear_parent(), 0);
    }
    /// Gives the order to any clerk, for which one is started if need be.
    std::uint64_t order(const Order& order, FdRef file = FdRef(-1)) {
        auto clerk = hand_.order_any({.order = order, .file = file, .arena = &*arena_});
        if (clerk != std::optional<std::uint64_t>(0)) return clerk.value_or(0);
        obey();
        return hand_.order_any({.order = order, .file = file, .arena = &*arena_}).value_or(0);
    }
    std::uint64_t start_open() {
        Order open;
        open.mutable_open();
        return order(open);
    }
    /// A clerk that keeps a file.
    std::uint64_t start_keeper() {
        const std::uint64_t clerk = start_open();
        Report opened;
        opened.mutable_opened();
        answer(clerk, opened);
        EXPECT_TRUE(hand_.hear_clerk(0));
        return clerk;
    }
    void answer(std::uint64_t clerk, const Report& report, FdRef file = FdRef(-1)) {
        say(clerks_.at(clerk), report, file);
    }
    static Report failed() {
        Report report;
        report.mutable_failed()->set_sys_errno(EIO);
        return report;
    }
    template <typename Message>
    static std::optional<Message> hear(FdRef socket) {
        ipc::Frame frame;
        std::string scratch;
        Message message;
        const auto got = ipc::receive(socket, frame);
        if (!got || !*got || !ipc::decode(frame.bytes, message, scratch)) return std::nullopt;
        return message;
    }
    static void say(FdRef socket, const google::protobuf::MessageLite& message, FdRef fd = FdRef(-1)) {
        std::string bytes;
        ipc::encode(message, bytes);
        const Status said = fd.get() < 0 ? ipc::send(socket, bytes, ipc::WhenFull::kFail)
                                         : ipc::give(socket, bytes, std::span(&fd, 1));
        EXPECT_TRUE(said);
    }

    std::optional<ipc::Arena> arena_ = *ipc::Arena::create();
    UniqueFd parent_;
    FilesHand hand_;
    std::map<std::uint64_t, UniqueFd> clerks_;
    std::set<std::uint64_t> living_;
    std::set<std::uint64_t> to_bury_;
    std::uint64_t last_ = 0;
};

TEST_F(ClerksOf, TheHandAreNeverMoreThanItMayHaveThoughThoseThatAreLetGoTakeTheirTimeToEnd) {
    std::vector<std::uint64_t> at_work;
    while (at_work.size() < kMaxClerks) at_work.push_back(start_open());
    ASSERT_EQ(living_.size(), kMaxClerks);
    for (const std::uint64_t clerk : at_work) answer(clerk, failed());
    while (hand_.hear_clerk(0)) continue;
    // One is kept, and all others are on their way out.
    Order open;
    open.mutable_open();
    ASSERT_NE(hand_.order_any({.order = open}).value_or(0), 0U);
    EXPECT_EQ(hand_.order_any({.order = open}), 0U) << "it waits for one of them to end";
    obey();
    EXPECT_EQ(living_.size(), kMaxClerks);
    bury(at_work.back());
    EXPECT_EQ(hand_.order_any({.order = open}), 0U);
    obey();
    EXPECT_NE(hand_.order_any({.order = open}).value_or(0), 0U);
}

struct Wrong {
    const char* name;
    void (*order)(Order& order);
    void (*report)(Report& report);
    bool has_file = false;
};

class AReportThatIsNot : public ClerksOf {
protected:
    /// That the clerk is killed, and that nothing is kept for it.
    void expect_given_up(std::uint64_t clerk) {
        const auto said = hand_.hear_clerk(0);
        ASSERT_TRUE(said);
        EXPECT_EQ(said->clerk, clerk);
        EXPECT_EQ(said->report.op_case(), Report::OP_NOT_SET);
        EXPECT_FALSE(said->is_late);
        EXPECT_FALSE(said->file.is_open());
        obey();
        EXPECT_TRUE(to_bury_.contains(clerk));
        EXPECT_EQ(hand_.count_kept(), 0U);
        EXPECT_TRUE(hand_.may_be_at_work(clerk));
        bury(clerk);
        EXPECT_FALSE(hand_.may_be_at_work(clerk));
    }
};

class AReportThatIsNotAboutItsOrder : public AReportThatIsNot, public testing::WithParamInterface<Wrong> {};

TEST_P(AReportThatIsNotAboutItsOrder, EndsItsClerkWhosePlaceIsFreeAgain) {
    const UniqueFd file(::open("/dev/null", O_RDONLY | O_CLOEXEC));
    Order asked;
    GetParam().order(asked);
    const bool is_kept = asked.has_seek() || asked.has_close();
    const std::uint64_t clerk =
        is_kept ? start_keeper() : order(asked, asked.has_open() ? FdRef(-1) : FdRef(file));
    if (is_kept) {
        ASSERT_TRUE(hand_.order(clerk, {.order = asked}));
    }
    Report report;
    GetParam().report(report);
    answer(clerk, report, GetParam().has_file ? FdRef(file) : FdRef(-1));
    expect_given_up(clerk);
}

void open(Order& order) {
    order.mutable_open();
}
void read(Order& order) {
    order.mutable_read()->set_size(8);
}
void write(Order& order) {
    order.mutable_write()->set_size(8);
}
void seek(Order& order) {
    order.mutable_seek();
}
void close(Order& order) {
    order.mutable_close();
}
void opened(Report& report) {
    report.mutable_opened();
}
void fail(Report& report) {
    report.mutable_failed();
}
void moved(Report& report) {
    report.mutable_moved()->set_size(8);
}
void moved_more(Report& report) {
    report.mutable_moved()->set_size(9);
}
void sought(Report& report) {
    report.mutable_sought();
}
void closed(Report& report) {
    report.mutable_closed();
}

INSTANTIATE_TEST_SUITE_P(
    , AReportThatIsNotAboutItsOrder,
    testing::Values(Wrong{"OpenSought", open, sought}, Wrong{"OpenMoved", open, moved},
                    Wrong{"OpenClosed", open, closed}, Wrong{"ReadOpened", read, opened},
                    Wrong{"ReadOpenedWithAFile", read, opened, true},
                    Wrong{"ReadMovedMore", read, moved_more}, Wrong{"ReadMovedWithAFile", read, moved, true},
                    Wrong{"WriteMovedMore", write, moved_more}, Wrong{"WriteFailed", write, fail},
                    Wrong{"SeekMoved", seek, moved}, Wrong{"SeekOpened", seek, opened},
                    Wrong{"SeekClosed", seek, closed}, Wrong{"CloseOpened", close, opened},
                    Wrong{"CloseSought", close, sought}, Wrong{"FailedWithAFile", open, fail, true}),
    [](const auto& one) { return std::string(one.param.name); });

TEST_F(AReportThatIsNot, AFrameOfOursEndsItsClerkToo) {
    const std::uint64_t clerk = start_open();
    ASSERT_TRUE(ipc::send(clerks_.at(clerk), "\xff\xff", ipc::WhenFull::kFail));
    expect_given_up(clerk);
}

TEST_F(ClerksOf, TheHandThatAnswerTheirOrderGoOn) {
    struct Turn {
        void (*order)(Order&);
        void (*report)(Report&);
    };
    const std::uint64_t clerk = start_keeper();
    EXPECT_EQ(hand_.count_kept(), 1U);
    for (const auto& [asks, says] :
         {Turn{seek, sought}, Turn{read, moved}, Turn{write, moved}, Turn{read, fail}, Turn{close, closed}}) {
        Order order;
        asks(order);
        Report report;
        says(report);
        ASSERT_TRUE(hand_.order(clerk, {.order = order, .arena = &*arena_}));
        answer(clerk, report);
        const auto heard = hand_.hear_clerk(0);
        ASSERT_TRUE(heard);
        EXPECT_EQ(heard->report.op_case(), report.op_case());
    }
    EXPECT_EQ(hand_.count_kept(), 0U);
    obey();
    EXPECT_TRUE(to_bury_.empty());
}

}  // namespace
}  // namespace sallyport::broker
