// A worker that was taken over and wants file systems frozen, or never thawed, on a guest whose policy freezes nothing.
#include <gtest/gtest.h>

#include "tests/hostile/taken_over.hpp"
#include "tests/support/cases.hpp"

namespace sallyport::test {
namespace {

constexpr std::uint64_t kFreeze = ipc::Request::kFsfreezeFreeze;
constexpr std::uint64_t kFreezeList = ipc::Request::kFsfreezeFreezeList;
constexpr std::uint64_t kThaw = ipc::Request::kFsfreezeThaw;
constexpr std::uint64_t kTrim = ipc::Request::kFstrim;

std::string frame(std::uint64_t seq, std::uint64_t command, std::string_view message = "") {
    return wire::seq(seq) + wire::bytes(command, message);
}

std::string list_of(std::string_view point) {
    return wire::bytes(1, wire::bytes(1, point));
}

struct Wish {
    const char* name;
    std::uint64_t command;
    std::string message;
};

class NotAllowed : public TakenOver, public testing::WithParamInterface<Wish> {};

TEST_P(NotAllowed, IsRefusedAsAWholeAndThereIsNoGuardToAsk) {
    expect_refused(puppet_.ask(frame(1, GetParam().command, GetParam().message)), ipc::DISABLED);
    EXPECT_EQ(children_of(agent_.broker().pid()).size(), 3U);  // nursery, recorder and files
}

INSTANTIATE_TEST_SUITE_P(, NotAllowed,
                         testing::Values(Wish{"Freeze", kFreeze, ""},
                                         Wish{"FreezeListOfAll", kFreezeList, ""},
                                         Wish{"FreezeListOfTheRoot", kFreezeList, list_of("/")},
                                         Wish{"FreezeListOfNothing", kFreezeList, wire::bytes(1, "")},
                                         Wish{"Trim", kTrim, ""},
                                         Wish{"TrimWithAMinimum", kTrim, wire::signed_number(1, -1)}),
                         case_name<Wish>);

class FreezingWorker : public TakenOver {};

TEST_F(FreezingWorker, ThawsNothing) {
    const ipc::Reply thawed = puppet_.ask(frame(1, kThaw));
    EXPECT_TRUE(thawed.has_fsfreeze_thaw());
    EXPECT_EQ(thawed.fsfreeze_thaw().count(), 0);
    expect_nothing_happened();
}

class BrokenFreezeFrame : public TakenOver, public testing::WithParamInterface<Wish> {};

TEST_P(BrokenFreezeFrame, EndsTheWorker) {
    puppet_.send(GetParam().message);
    expect_violation();
}

INSTANTIATE_TEST_SUITE_P(
    , BrokenFreezeFrame,
    testing::Values(Wish{"ThawOutOfTurn", 0, frame(7, kThaw)},
                    Wish{"ThawWithoutANumber", 0, wire::bytes(kThaw, "")},
                    Wish{"FreezeWithAnUnknownField", 0, frame(1, kFreeze, wire::number(9, 1))},
                    Wish{"FreezeWithContents", 0,
                         wire::seq(1) + wire::bytes(2, wire::bulk(1, 0, 1)) + wire::bytes(kFreeze, "")},
                    Wish{"MountPointThatIsNoText", 0, frame(1, kFreezeList, list_of("/\xff\xfe"))},
                    Wish{"TrimWithALongNumber", 0,
                         frame(1, kTrim, wire::tag(1, wire::kVarint) + wire::long_varint(1))}),
    case_name<Wish>);

}  // namespace
}  // namespace sallyport::test
