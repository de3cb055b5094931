// A worker that was taken over gets no more than its rule's budget, however it floods, ends and comes back.
#include <gtest/gtest.h>

#include <chrono>

#include "tests/hostile/taken_over.hpp"
#include "tests/support/cases.hpp"

namespace sallyport::test {
namespace {

constexpr const char* kPolicy = R"(schema = 1
[[allow]]
id = "work"
commands = ["@file"]
files = [{ under = "$D/work", access = ["read", "write", "create"] }]
rate = "1/min burst 3"
)";

class Budget : public TakenOver {
protected:
    Budget() : TakenOver(kPolicy) {}
};

TEST_F(Budget, IsNotFilledByWorkersThatFloodAndEnd) {
    const auto begin = std::chrono::steady_clock::now();
    int opened = 0;
    for (int turn = 0; turn < 8; ++turn) {
        for (std::uint64_t seq = 1; seq <= 25; ++seq) {
            const ipc::Reply reply = puppet_.ask(wire::file_open(seq, path("work/file"), "r"));
            opened += reply.has_file_open() ? 1 : 0;
            EXPECT_EQ(reply.error().reason(), reply.has_file_open() ? ipc::UNSPECIFIED : ipc::SPENT);
        }
        puppet_.exit(1);
        ASSERT_TRUE(puppet_.is_replaced());
    }
    const auto minutes =
        std::chrono::duration_cast<std::chrono::minutes>(std::chrono::steady_clock::now() - begin);
    EXPECT_GE(opened, 3);
    EXPECT_LE(opened, 3 + 1 + minutes.count());
}

}  // namespace
}  // namespace sallyport::test
