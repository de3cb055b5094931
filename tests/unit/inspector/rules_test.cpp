#include "inspector/rules.hpp"

#include <gtest/gtest.h>

#include <string>

#include "ipc/channel.hpp"
#include "ipc/codec.hpp"

namespace sallyport::inspector {
namespace {

class Rules : public testing::Test {
protected:
    void SetUp() override {
        auto pair = ipc::socket_pair();
        ASSERT_TRUE(pair);
        broker_ = std::move(pair->first);
        inspector_ = std::move(pair->second);
    }
    void send(const ipc::InspectorRequest& request) {
        std::string frame;
        ipc::encode(request, frame);
        ASSERT_TRUE(ipc::send(broker_, frame, ipc::WhenFull::kFail));
    }
    void send_part(std::string_view data, bool last) {
        ipc::InspectorRequest request;
        request.mutable_rules_part()->set_data(std::string(data));
        request.mutable_rules_part()->set_last(last);
        send(request);
    }
    UniqueFd broker_, inspector_;
};

TEST_F(Rules, MayComeInParts) {
    ipc::ReplyRules rules;
    rules.add_rules()->mutable_filter()->add_users("root");
    std::string bytes;
    ipc::encode(rules, bytes);
    send_part(bytes.substr(0, 3), false);
    send_part(bytes.substr(3), true);
    const auto taken = take_rules(inspector_);
    ASSERT_TRUE(taken);
    EXPECT_EQ(taken->rules(0).filter().users(0), "root");
}

TEST_F(Rules, MayBeNone) {
    send_part("", true);
    const auto taken = take_rules(inspector_);
    ASSERT_TRUE(taken);
    EXPECT_TRUE(taken->rules().empty());
}

TEST_F(Rules, AreNotTakenFromAnotherFrame) {
    ipc::InspectorRequest order;
    order.mutable_end_child()->set_number(1);
    send(order);
    EXPECT_FALSE(take_rules(inspector_));
    send_part("garbage", true);
    EXPECT_FALSE(take_rules(inspector_));
}

TEST_F(Rules, WithAMemberThatNobodyKnowsAreNotTaken) {
    ipc::ReplyRules rules;
    rules.add_rules()->mutable_filter()->add_without(ipc::ReplyFilter::Member(20));
    std::string bytes;
    ipc::encode(rules, bytes);
    send_part(bytes, true);
    EXPECT_FALSE(take_rules(inspector_));
}

TEST_F(Rules, AreWaitedForUntilTheBrokerIsGone) {
    send_part("", false);
    broker_.reset();
    const auto taken = take_rules(inspector_);
    ASSERT_FALSE(taken);
    EXPECT_EQ(taken.error().code, Errc::kClosed);
}

}  // namespace
}  // namespace sallyport::inspector
