// Frames that no honest worker sends: each ends the worker, is audited, and leaves nothing behind.
//
// The frames are about guest-file-open, guest-file-close, guest-file-read, guest-file-write, guest-file-seek
// and guest-file-flush; the other commands never reach the broker.
#include <gtest/gtest.h>

#include <csignal>

#include "ipc/limits.hpp"
#include "schema/commands.hpp"
#include "tests/hostile/taken_over.hpp"
#include "tests/support/cases.hpp"

namespace sallyport::test {
namespace {

using namespace std::string_literals;

constexpr std::int64_t kAnyHandle = 1;

struct Attack {
    const char* name;
    std::vector<std::string> frames;  // sent one after the other without waiting
};

class OneFrame : public TakenOver, public testing::WithParamInterface<Attack> {};

TEST_P(OneFrame, EndsTheWorker) {
    for (const std::string& frame : GetParam().frames) puppet_.send(frame);
    expect_violation();
}

std::string deep_groups() {
    std::string frame;
    for (int at = 0; at < 5000; ++at) frame += wire::tag(40, wire::kGroup);
    return frame;
}

const std::string kFlush = wire::file_flush(1, kAnyHandle);
const std::string kCode = wire::number(1, 1);  // GuestFileWhence.code
const std::string kName = wire::number(2, 1);  // GuestFileWhence.name

// clang-format off
const Attack kMalformed[] = {
    {"Garbage",                       {"\xff\xff\xff\xff"s}},
    {"TextOfAnotherProtocol",         {"GET / HTTP/1.0\r\n\r\n"}},
    {"JsonRequest",                   {"{\"execute\":\"guest-file-open\"}"}},
    {"OneZeroByte",                   {"\0"s}},
    {"FrameCutOff",                   {kFlush.substr(0, kFlush.size() - 1)}},
    {"NumberCutOff",                  {"\x08\x80"s}},
    {"NumberOfElevenBytes",           {"\x08"s + std::string(10, '\x80') + "\x01" + kFlush.substr(2)}},
    {"LengthBeyondTheFrame",          {wire::seq(1) + wire::tag(21, wire::kBytes) + wire::varint(1000) + "x"}},
    {"LengthOfTwoGigabytes",          {wire::seq(1) + wire::tag(21, wire::kBytes) + wire::varint(0x7fffffffU)}},
    {"LengthOfFourGigabytes",         {wire::seq(1) + wire::tag(21, wire::kBytes) + wire::varint(0xffffffffU)}},
    {"FieldNumberZero",               {wire::number(0, 1) + kFlush}},
    {"WireTypeSix",                   {kFlush + wire::varint((21U << 3U) | 6U)}},
    {"GroupsWithoutEnd",              {deep_groups()}},
    {"GroupClosedWithoutOpening",     {kFlush + wire::tag(21, wire::kEndGroup)}},
    {"FrameOverTheLimit",             {wire::seq(1) + wire::bytes(16, wire::bytes(1, std::string(kMaxFrame, 'x')))}},
    {"FrameFarOverTheLimit",          {std::string(100'000, 'x')}},
};
const Attack kNotCanonical[] = {
    {"UnknownField",                  {kFlush + wire::number(99, 1)}},
    {"UnknownFieldOfBytes",           {kFlush + wire::bytes(100, "hidden")}},
    {"UnknownFieldInTheCommand",      {wire::seq(1) + wire::bytes(21, wire::number(1, 1) + wire::number(9, 1))}},
    {"UnknownFieldInFront",           {wire::bytes(100, "x") + kFlush}},
    {"RepeatedSequenceNumber",        {wire::seq(1) + kFlush}},
    {"RepeatedCommand",               {kFlush + wire::bytes(21, wire::number(1, 1))}},
    {"RepeatedHandle",                {wire::seq(1) + wire::bytes(21, wire::number(1, 1) + wire::number(1, 1))}},
    {"RepeatedPath",                  {wire::seq(1) + wire::bytes(16, wire::bytes(1, "/a") + wire::bytes(1, "/b"))}},
    {"TwoCommands",                   {kFlush + wire::bytes(17, wire::number(1, 1))}},
    {"HelloAndACommand",              {kFlush + wire::hello()}},
    {"LongSequenceNumber",            {wire::tag(1, wire::kVarint) + wire::long_varint(1) + kFlush.substr(2)}},
    {"LongTag",                       {wire::long_varint(1U << 3U) + wire::varint(1) + kFlush.substr(2)}},
    {"LongLength",                    {wire::seq(1) + wire::tag(21, wire::kBytes) + wire::long_varint(2) + wire::number(1, 1)}},
    {"LongHandle",                    {wire::seq(1) + wire::bytes(21, wire::tag(1, wire::kVarint) + wire::long_varint(1))}},
    {"CommandBeforeSequenceNumber",   {wire::bytes(21, wire::number(1, 1)) + wire::seq(1)}},
    {"ModeBeforePath",                {wire::seq(1) + wire::bytes(16, wire::bytes(2, "r") + wire::bytes(1, "/a"))}},
    {"WrittenOutZeroHandle",          {wire::seq(1) + wire::bytes(21, wire::number(1, 0))}},
    {"WrittenOutEmptyPath",           {wire::seq(1) + wire::bytes(16, wire::bytes(1, ""))}},
    {"SequenceNumberAsFixed64",       {wire::tag(1, wire::kFixed64) + "\1\0\0\0\0\0\0\0"s + kFlush.substr(2)}},
    {"CommandAsNumber",               {wire::seq(1) + wire::number(21, 1)}},
    {"HandleAsBytes",                 {wire::seq(1) + wire::bytes(21, wire::bytes(1, "\1"))}},
    {"ExtentOffsetOver32Bits",        {wire::file_write(1, kAnyHandle, wire::number(1, 5) + wire::bytes(2, wire::number(1, std::uint64_t{1} << 32U) + wire::number(2, 5)))}},
    {"ExtentSizeOver32Bits",          {wire::file_write(1, kAnyHandle, wire::bulk(5, 0, (std::uint64_t{1} << 32U) + 5))}},
    {"PathThatIsNotUtf8",             {wire::file_open(1, "/tmp/\xff\xfe", "r")}},
    {"ModeThatIsNotUtf8",             {wire::file_open(1, "/tmp/x", "r\xff")}},
};
const Attack kOutOfOrder[] = {
    {"NoCommand",                     {wire::seq(1)}},
    {"UnknownCommand",                {wire::seq(1) + wire::bytes(200, "")}},
    {"RetiredCommandNumber",          {wire::seq(1) + wire::bytes(8, "")}},
    {"HelloAgain",                    {wire::hello()}},
    {"HelloAgainWithSequenceNumber",  {wire::seq(1) + wire::hello()}},
    {"SequenceNumberZero",            {wire::bytes(21, wire::number(1, 1))}},
    {"SequenceNumberAhead",           {wire::file_flush(2, kAnyHandle)}},
    {"SequenceNumberFarAhead",        {wire::file_flush(~std::uint64_t{0}, kAnyHandle)}},
    {"SequenceNumberAgain",           {kFlush, kFlush}},
    {"SequenceNumberBackwards",       {kFlush, wire::file_flush(2, kAnyHandle), kFlush}},
    {"BulkWithOpen",                  {wire::seq(1) + wire::bytes(2, wire::bulk(1, 0, 1)) + wire::bytes(16, wire::bytes(1, "/a"))}},
    {"BulkWithFlush",                 {wire::seq(1) + wire::bytes(2, "") + kFlush.substr(2)}},
    {"BulkWithHello",                 {wire::bytes(2, wire::bulk(1, 0, 1)) + wire::hello()}},
    {"WriteWithoutBulk",              {wire::seq(1) + wire::bytes(19, wire::number(1, 1))}},
    {"WriteWithContentsInTheFrame",   {wire::seq(1) + wire::bytes(2, "") + wire::bytes(19, wire::number(1, 1) + wire::bytes(2, "data"))}},
    {"BulkWithAQuery",                {wire::seq(1) + wire::bytes(2, wire::bulk(1, 0, 1)) + wire::inspect(1, CommandId::kGetTime).substr(2)}},
    {"QueryWithAnArgument",           {wire::inspect(1, CommandId::kGetTime, wire::number(2, 1))}},
    {"QueryOfACommandThatActs",       {wire::inspect(1, CommandId::kFileOpen)}},
    {"QueryOfAWorkersCommand",        {wire::inspect(1, CommandId::kPing)}},
    {"QueryOfACommandThatIsNone",     {wire::inspect(1, CommandId{99})}},
    {"QueryOfNothing",                {wire::seq(1) + wire::bytes(64, "")}},
    {"QueryOutOfSequence",            {wire::inspect(2, CommandId::kGetFsinfo)}},
    {"ChunkUsedWithoutARead",         {wire::chunk_used(1)}},
    {"ChunkUsedWithNumberZero",       {wire::bytes(5, "")}},
    {"ChunkUsedForARequestWithoutParts", {kFlush, wire::chunk_used(1)}},
    {"ChunkFilledWithoutAWrite",      {wire::chunk_filled(1, 0, 1)}},
    {"ChunkFilledForARequestWithoutParts", {kFlush, wire::chunk_filled(1, 0, 1)}},
    {"SeekWithoutWhence",             {wire::seq(1) + wire::bytes(20, wire::number(1, 1))}},
    {"SeekWithEmptyWhence",           {wire::file_seek(1, kAnyHandle, 0, "")}},
    {"SeekWhenceUnspecified",         {wire::file_seek(1, kAnyHandle, 0, wire::number(2, 0))}},
    {"SeekWhenceUnknownName",         {wire::file_seek(1, kAnyHandle, 0, wire::number(2, 77))}},
    {"SeekWhenceTwice",               {wire::file_seek(1, kAnyHandle, 0, kCode + kName)}},
    {"DisabledWithoutACommand",       {wire::command_disabled(1, 200)}},
    {"DisabledFarNumber",             {wire::command_disabled(1, 0xffffffffU)}},
    {"DisabledButEnabledPing",        {wire::command_disabled(1, 2)}},
    {"DisabledButEnabledFileOpen",    {wire::command_disabled(1, static_cast<std::uint64_t>(CommandId::kFileOpen))}},
    {"DroppedReplyOfNoRequest",       {wire::reply_dropped(1)}},
    {"DroppedReplyZero",              {wire::reply_dropped(0)}},
    {"DroppedReplyOfTheFuture",       {kFlush, wire::reply_dropped(2)}},
    {"DroppedReplyWithSequenceNumber", {kFlush, wire::seq(2) + wire::reply_dropped(1)}},
};
// clang-format on
INSTANTIATE_TEST_SUITE_P(Malformed, OneFrame, testing::ValuesIn(kMalformed), case_name<Attack>);
INSTANTIATE_TEST_SUITE_P(NotCanonical, OneFrame, testing::ValuesIn(kNotCanonical), case_name<Attack>);
INSTANTIATE_TEST_SUITE_P(OutOfOrder, OneFrame, testing::ValuesIn(kOutOfOrder), case_name<Attack>);

// Lies about contents in the arena, on a file that is really open for writing.

struct Lie {
    const char* name;
    std::string bulk;
};

class BulkLie : public TakenOver, public testing::WithParamInterface<Lie> {};

TEST_P(BulkLie, EndsTheWorkerAndWritesNothing) {
    const std::int64_t handle = open(1, "file", "r+");
    ++descriptors_;
    puppet_.send(wire::file_write(2, handle, GetParam().bulk));
    expect_violation();
}

// clang-format off
constexpr std::uint64_t k32Bits = 0xffffffffU;
const Lie kLies[] = {
    {"ExtentBehindTheArena",       wire::bulk(10, kArenaData, 10)},
    {"ExtentAcrossTheEnd",         wire::bulk(10, kArenaData - 5, 10)},
    {"ExtentFarOutside",           wire::bulk(10, 0x80000000U, 10)},
    {"ExtentThatWrapsAround",      wire::bulk(k32Bits, k32Bits, k32Bits)},
    {"ExtentThatWrapsToTheStart",  wire::bulk(16, k32Bits - 7, 16)},
    {"ExtentOverAChunk",           wire::bulk(kChunk + 1, 0, kChunk + 1)},
    {"ExtentOfTheWholeArena",      wire::bulk(kArenaData, 0, kArenaData)},
    {"ExtentEmpty",                wire::number(1, 10) + wire::bytes(2, "")},
    {"ExtentLongerThanTheTotal",   wire::bulk(9, 0, 10)},
    {"ExtentButNoTotal",           wire::bulk(0, 0, 10)},
    {"TotalButNoExtent",           wire::number(1, 10)},
    {"TotalOverTheLimit",          wire::bulk(kMaxValueSize + 1, 0, 10)},
    {"TotalOfHalfTheNumbers",      wire::bulk(std::uint64_t{1} << 63U, 0, 10)},
    {"TotalOfAllNumbers",          wire::bulk(~std::uint64_t{0}, 0, 10)},
};
// clang-format on
INSTANTIATE_TEST_SUITE_P(, BulkLie, testing::ValuesIn(kLies), case_name<Lie>);

class InAWrite : public TakenOver, public testing::WithParamInterface<Attack> {
protected:
    /// A write of three bytes of which one has been handed over.
    void begin() {
        const std::int64_t handle = open(1, "new", "w");
        puppet_.write_arena(0, "abc");
        EXPECT_EQ(puppet_.ask(wire::file_write(2, handle, wire::bulk(3, 0, 1))).result_case(),
                  ipc::Reply::kChunkUsed);
    }
};

TEST_P(InAWrite, EndsTheWorker) {
    begin();
    for (const std::string& frame : GetParam().frames) puppet_.send(frame);
    ASSERT_TRUE(puppet_.is_replaced());
    EXPECT_EQ(agent_.count_audit("verdict", "violation"), 1U);
    EXPECT_LE(read_file(path("work/new")).size(), 3U);
    EXPECT_EQ(puppet_.ask(wire::file_flush(1, kAnyHandle)).error().reason(), ipc::BAD_HANDLE);
}

// clang-format off
const Attack kInAWrite[] = {
    {"OtherCommand",             {wire::file_flush(3, kAnyHandle)}},
    {"SecondWrite",              {wire::file_write(3, 1000, wire::bulk(1, 0, 1))}},
    {"CloseOfTheFile",           {wire::file_close(3, 1000)}},
    {"MoreChunksUsedThanThereAre", std::vector<std::string>(kChunks + 1, wire::chunk_used(2))},
    {"PartOfAnotherRequest",     {wire::chunk_filled(1, 0, 1)}},
    {"PartOfAFutureRequest",     {wire::chunk_filled(3, 0, 1)}},
    {"PartLongerThanTheRest",    {wire::chunk_filled(2, 0, 3)}},
    {"PartBehindTheArena",       {wire::chunk_filled(2, kArenaData, 1)}},
    {"PartWithoutExtent",        {wire::seq(2) + wire::bytes(6, "")}},
    {"PartThatIsEmpty",          {wire::seq(2) + wire::bytes(6, wire::bytes(1, ""))}},
    {"OnePartTooMany",           {wire::chunk_filled(2, 0, 1), wire::chunk_filled(2, 0, 1), wire::chunk_filled(2, 0, 1)}},
    {"Hello",                    {wire::hello()}},
    {"DroppedReplyOfItself",     {wire::reply_dropped(2)}},
    {"DroppedReplyOfTheOpen",    {wire::reply_dropped(1)}},
};
// clang-format on
INSTANTIATE_TEST_SUITE_P(, InAWrite, testing::ValuesIn(kInAWrite), case_name<Attack>);

class InARead : public TakenOver, public testing::WithParamInterface<Attack> {
protected:
    /// A read of which all chunks are filled and none is used.
    void begin() {
        const std::int64_t handle = open(1, "large", "r");
        puppet_.send(wire::file_read(2, handle, 3 << 20));
        for (std::size_t at = 0; at < kChunks; ++at)
            EXPECT_EQ(puppet_.hear().result_case(), ipc::Reply::kMore);
    }
};

TEST_P(InARead, EndsTheWorker) {
    begin();
    for (const std::string& frame : GetParam().frames) puppet_.send(frame);
    ASSERT_TRUE(puppet_.is_replaced());
    EXPECT_EQ(agent_.count_audit("verdict", "violation"), 1U);
    EXPECT_EQ(puppet_.ask(wire::file_flush(1, kAnyHandle)).error().reason(), ipc::BAD_HANDLE);
    ++descriptors_;
    expect_nothing_happened();
}

const Attack kInARead[] = {
    {"OtherCommand", {wire::file_flush(3, kAnyHandle)}},
    {"SecondRead", {wire::file_read(3, 1000, 10)}},
    {"CloseOfTheFile", {wire::file_close(3, 1000)}},
    {"ChunkFilled", {wire::chunk_filled(2, 0, 1)}},
    {"ChunkUsedOfAnotherRequest", {wire::chunk_used(1)}},
    {"ChunkUsedOfAFutureRequest", {wire::chunk_used(3)}},
    {"Hello", {wire::hello()}},
    {"DroppedReplyOfItself", {wire::reply_dropped(2)}},
    {"DroppedReplyOfTheOpen", {wire::reply_dropped(1)}},
};
INSTANTIATE_TEST_SUITE_P(, InARead, testing::ValuesIn(kInARead), case_name<Attack>);

// A policy that lets the host look, and one query under way.
class QueryUnderWay : public TakenOver {
protected:
    QueryUnderWay() : TakenOver(kLookPolicy) {}
    static constexpr const char* kLookPolicy = R"(schema = 1
[[allow]]
id = "work"
commands = ["@file", "@inspect"]
files = [{ under = "$D/work", access = ["read", "write", "create"] }]
)";
    // The reply comes after whatever else the worker says.
    void hold_up_inspector() {
        for (const pid_t child : children_of(agent_.broker().pid()))
            if (name_of(child) == "sallyport-inspector") stopped_ = child;
        ASSERT_TRUE(send_signal(stopped_, SIGSTOP));
    }
    ~QueryUnderWay() override {
        if (stopped_ > 0) send_signal(stopped_, SIGCONT);
    }
    pid_t stopped_ = 0;
};

TEST_F(QueryUnderWay, AnswersOne) {
    const ipc::Reply reply = puppet_.ask(wire::inspect(1, CommandId::kGetTime));
    EXPECT_EQ(reply.relayed().command(), static_cast<std::uint32_t>(CommandId::kGetTime));
    EXPECT_FALSE(reply.relayed().inspected().empty());
}

TEST_F(QueryUnderWay, SecondBeforeTheReplyEndsTheWorker) {
    hold_up_inspector();
    puppet_.send(wire::inspect(1, CommandId::kGetFsinfo));
    puppet_.send(wire::inspect(2, CommandId::kGetFsinfo));
    expect_violation();
}

TEST_F(QueryUnderWay, ChunkUsedBeforeTheReplyEndsTheWorker) {
    hold_up_inspector();
    puppet_.send(wire::inspect(1, CommandId::kGetFsinfo));
    puppet_.send(wire::chunk_used(1));
    expect_violation();
}

}  // namespace
}  // namespace sallyport::test
