// The launcher alone, asked as the broker asks it, beside devices and clocks that the test plays.
#pragma once

#include <gtest/gtest.h>
#include <poll.h>
#include <unistd.h>

#include <cstdlib>
#include <ctime>
#include <functional>
#include <initializer_list>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "ipc/launcher.pb.h"
#include "tests/setters/devices.hpp"
#include "tests/setters/played_clocks.hpp"
#include "tests/support/launcher_alone.hpp"
#include "tests/support/process.hpp"

namespace sallyport::test {

using ipc::SetDone;
using ipc::SetResult;
constexpr std::int64_t kSecond = 1'000'000'000;
constexpr unsigned kLongMs = 30'000;  // for what is not to pass it

class SettingLauncher : public Launcher {
public:
    explicit SettingLauncher(
        const ipc::LauncherTable& table, const std::function<void()>& before = [] {})
        : Launcher(table, before) {
        EXPECT_TRUE(is_ready());
    }
    void order(ipc::SetOrder order) {
        if (order.number() == 0) order.set_number(++number_);
        ipc::LauncherRequest request;
        *request.mutable_set() = std::move(order);
        tell(request);
    }
    SetDone hear_done() const {
        ipc::LauncherReply reply;
        EXPECT_TRUE(hear(reply) && reply.has_set_done());
        return reply.set_done();
    }
    SetDone ask(const ipc::SetOrder& what) {
        order(what);
        return hear_done();
    }
    // The order ends it, and nothing is set.
    void expect_end(const ipc::SetOrder& what) {
        order(what);
        ipc::LauncherReply reply;
        EXPECT_FALSE(hear(reply)) << reply.op_case();
        EXPECT_EQ(child().wait(), 1);
    }
    [[nodiscard]] pid_t pid() { return child().pid(); }
    [[nodiscard]] std::vector<pid_t> setters() {
        std::vector<pid_t> all;
        for (const pid_t child : children_of(pid()))
            if (name_of(child) == "sallyport-setter") all.push_back(child);
        return all;
    }

private:
    std::uint64_t number_ = 0;
};

inline ipc::SetOrder cpus(std::initializer_list<std::pair<int, bool>> all) {
    ipc::SetOrder order;
    order.mutable_vcpus();
    for (const auto& [id, online] : all) {
        auto& item = *order.mutable_vcpus()->add_item();
        item.set_id(id);
        item.set_online(online);
    }
    return order;
}
inline ipc::SetOrder blocks(std::initializer_list<std::pair<std::uint64_t, bool>> all) {
    ipc::SetOrder order;
    order.mutable_blocks();
    for (const auto& [index, online] : all) {
        auto& item = *order.mutable_blocks()->add_item();
        item.set_index(index);
        item.set_online(online);
    }
    return order;
}
inline ipc::SetOrder clock_to(std::optional<std::int64_t> ns) {
    ipc::SetOrder order;
    order.mutable_time();
    if (ns) order.mutable_time()->set_to_ns(*ns);
    return order;
}
inline std::int64_t now_ns() {
    timespec now{};
    ::clock_gettime(CLOCK_REALTIME, &now);
    return now.tv_sec * kSecond + now.tv_nsec;
}

class Setter : public testing::Test {
protected:
    static void SetUpTestSuite() {
        devices_ = std::make_unique<Devices>();
        clocks_ = std::make_unique<PlayedClocks>();
    }
    static void TearDownTestSuite() {
        clocks_.reset();
        devices_.reset();
    }
    void SetUp() override {
        devices_->reset();
        clocks_->begin();
    }
    void TearDown() override { EXPECT_EQ(clocks_->sets.load(), expected_sets_); }
    static ipc::LauncherTable table(unsigned deadline_ms = kLongMs) {
        ipc::LauncherTable table;
        table.set_set_deadline_ms(deadline_ms);
        table.set_deadline_ms(kLongMs);
        table.add_sets()->mutable_time()->set_max_ms(300'000);
        auto& processors = *table.add_sets()->mutable_vcpus();
        processors.set_min_online(2);
        auto& some = *processors.mutable_cpus()->add_span();
        some.set_least(0);
        some.set_most(7);
        auto& few = *table.add_sets()->mutable_blocks()->add_span();
        few.set_least(0);
        few.set_most(7);
        return table;
    }
    static std::vector<int> hows(const SetDone& done) {
        std::vector<int> all;
        for (const SetResult& one : done.result()) all.push_back(one.how());
        return all;
    }
    static inline std::unique_ptr<Devices> devices_;
    static inline std::unique_ptr<PlayedClocks> clocks_;
    int expected_sets_ = 0;
};
using Hows = std::vector<int>;

}  // namespace sallyport::test
