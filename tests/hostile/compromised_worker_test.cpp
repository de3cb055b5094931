// Requests in good form of a worker that was taken over: the policy and the inode checks hold without the
// worker's help, and whatever it does with its own time, memory and end harms nobody else.
//
// The commands that reach the broker are guest-file-open, guest-file-close, guest-file-read,
// guest-file-write, guest-file-seek and guest-file-flush.
#include <gtest/gtest.h>

#include <algorithm>

#include "ipc/limits.hpp"
#include "schema/commands.hpp"
#include "tests/hostile/taken_over.hpp"
#include "tests/support/audit.hpp"
#include "tests/support/cases.hpp"

namespace sallyport::test {
namespace {

using namespace std::string_literals;

constexpr std::int64_t kAnyHandle = 1;
const std::string kSet = wire::number(1, 0);  // GuestFileWhence.code

struct BadPath {
    const char* name;
    std::string path;  // $D is the scratch folder
    const char* mode;
    ipc::Reason reason;
};

class Paths : public TakenOver, public testing::WithParamInterface<BadPath> {};

TEST_P(Paths, AreRefusedAndNothingIsOpenedOrMade) {
    std::string wanted = GetParam().path;
    if (const std::size_t at = wanted.find("$D"); at != std::string::npos)
        wanted.replace(at, 2, path("")).erase(at + path("").size() - 1, 1);
    expect_refused(puppet_.ask(wire::file_open(1, wanted, GetParam().mode)), GetParam().reason);
}

// clang-format off
const BadPath kPaths[] = {
    {"Empty",                        "",                              "r", ipc::SYSTEM},
    {"EmptyForWriting",              "",                              "w", ipc::SYSTEM},
    {"Relative",                     "etc/passwd",                    "r", ipc::REFUSED},
    {"NulAlone",                     "\0"s,                           "r", ipc::SYSTEM},
    {"NulAfterAnAllowedName",        "$D/work/file\0/../../etc/passwd"s, "r", ipc::SYSTEM},
    {"NulBeforeAnAllowedName",       "/etc/passwd\0$D/work/file"s,    "r", ipc::SYSTEM},
    {"TooLong",                      "/" + std::string(4096, 'x'),    "r", ipc::SYSTEM},
    {"FarTooLong",                   "$D/work/" + std::string(60'000, 'x'), "w", ipc::SYSTEM},
    {"ManySlashes",                  std::string(4000, '/') + "etc/passwd", "r", ipc::REFUSED},
    {"ManyDotDots",                  [] { std::string text = "$D/work"; for (int at = 0; at < 500; ++at) text += "/.."; return text + "/etc/shadow"; }(), "r", ipc::REFUSED},
    {"EtcShadow",                    "/etc/shadow",                   "r", ipc::REFUSED},
    {"EtcShadowForWriting",          "/etc/shadow",                   "r+", ipc::REFUSED},
    {"EtcShadowForTruncating",       "/etc/shadow",                   "w", ipc::REFUSED},
    {"Outside",                      "$D/outside/file",               "r", ipc::REFUSED},
    {"OutsideByDotDot",              "$D/work/../outside/file",       "r", ipc::REFUSED},
    {"NewFileOutside",               "$D/outside/new",                "w", ipc::REFUSED},
    {"NewFileOutsideByDotDot",       "$D/work/folder/../../outside/new", "a", ipc::REFUSED},
    {"SiblingFolder",                "$D/working/file",               "r", ipc::REFUSED},
    {"TheStateFolder",               "$D/state/audit.jsonl",          "r", ipc::REFUSED},
    {"TheStateFolderForWriting",     "$D/state/sallyport.state",      "r+", ipc::REFUSED},
    {"ThePolicy",                    "$D/policy.toml",                "a", ipc::REFUSED},
    {"SymbolicLink",                 "$D/work/link",                  "r", ipc::REFUSED},
    {"SymbolicLinkForTruncating",    "$D/work/link",                  "w", ipc::REFUSED},
    {"FileBehindALinkedFolder",      "$D/work/linked/file",           "r", ipc::REFUSED},
    {"NewFileBehindALinkedFolder",   "$D/work/linked/new",            "w", ipc::REFUSED},
    {"MagicLinkToTheRoot",           "$D/work/magic/etc/passwd",      "r", ipc::REFUSED},
    {"ProcSelfRoot",                 "/proc/self/root$D/work/file",   "r", ipc::REFUSED},
    {"ProcSelfFd",                   "/proc/self/fd/3",               "r", ipc::REFUSED},
    {"ProcSelfMem",                  "/proc/self/mem",                "r+", ipc::REFUSED},
    {"DevFd",                        "/dev/fd/4",                     "r+", ipc::REFUSED},
    {"HardLink",                     "$D/work/hard",                  "r", ipc::REFUSED},
    {"HardLinkForTruncating",        "$D/work/hard",                  "w", ipc::REFUSED},
    {"Fifo",                         "$D/work/fifo",                  "r", ipc::REFUSED},
    {"Folder",                       "$D/work/folder",                "r", ipc::REFUSED},
    {"FolderForWriting",             "$D/work/folder",                "w", ipc::REFUSED},
    {"TheRulesFolder",               "$D/work",                       "r", ipc::REFUSED},
    {"Missing",                      "$D/work/missing",               "r", ipc::SYSTEM},
    {"UnknownMode",                  "$D/work/file",                  "rw", ipc::BAD_MODE},
    {"EmptyMode",                    "$D/work/file",                  "", ipc::BAD_MODE},
    {"LongMode",                     "$D/work/file",                  "rrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrr", ipc::BAD_MODE},
};
// clang-format on
INSTANTIATE_TEST_SUITE_P(, Paths, testing::ValuesIn(kPaths), case_name<BadPath>);

struct BadNumber {
    const char* name;
    std::string frame;
    ipc::Reason reason;
};

class Numbers : public TakenOver, public testing::WithParamInterface<BadNumber> {};

TEST_P(Numbers, AreRefused) {
    const std::int64_t handle = open(1, "file", "r+");
    ASSERT_EQ(handle, 1000);
    ++descriptors_;
    expect_refused(puppet_.ask(GetParam().frame), GetParam().reason, 3);
}

// clang-format off
constexpr std::int64_t kSmallest = std::numeric_limits<std::int64_t>::min();
constexpr std::int64_t kLargest = std::numeric_limits<std::int64_t>::max();
std::string counted_write(std::int64_t count) {
    return wire::seq(2) + wire::bytes(2, wire::bulk(4, 0, 4)) + wire::bytes(19, wire::number(1, 1000) + wire::signed_number(3, count));
}
const BadNumber kNumbers[] = {
    {"ReadCountMinusOne",       wire::file_read(2, 1000, -1), ipc::BAD_COUNT},
    {"ReadCountSmallest",       wire::file_read(2, 1000, kSmallest), ipc::BAD_COUNT},
    {"ReadCountOneTooLarge",    wire::file_read(2, 1000, kMaxReadCount + 1), ipc::BAD_COUNT},
    {"ReadCountLargest",        wire::file_read(2, 1000, kLargest), ipc::BAD_COUNT},
    {"WriteCountMinusOne",      counted_write(-1), ipc::BAD_COUNT},
    {"WriteCountOverTheTotal",  counted_write(5), ipc::BAD_COUNT},
    {"WriteCountLargest",       counted_write(kLargest), ipc::BAD_COUNT},
    {"WriteCountSmallest",      counted_write(kSmallest), ipc::BAD_COUNT},
    {"WhenceThree",             wire::file_seek(2, 1000, 0, wire::number(1, 3)), ipc::BAD_WHENCE},
    {"WhenceMinusOne",          wire::file_seek(2, 1000, 0, wire::signed_number(1, -1)), ipc::BAD_WHENCE},
    {"WhenceBeyond32Bits",      wire::file_seek(2, 1000, 0, wire::number(1, std::uint64_t{1} << 32U)), ipc::BAD_WHENCE},
    {"OffsetBeforeTheStart",    wire::file_seek(2, 1000, -1, kSet), ipc::SYSTEM},
    {"OffsetSmallest",          wire::file_seek(2, 1000, kSmallest, kSet), ipc::SYSTEM},
    {"ReadOfUnknownHandle",     wire::file_read(2, 999, 1), ipc::BAD_HANDLE},
    {"ReadOfDescriptorNumber",  wire::file_read(2, 4, 1), ipc::BAD_HANDLE},
    {"ReadOfNegativeHandle",    wire::file_read(2, -1, 1), ipc::BAD_HANDLE},
    {"ReadOfNextHandle",        wire::file_read(2, 1001, 1), ipc::BAD_HANDLE},
    {"WriteToUnknownHandle",    wire::file_write(2, 999, wire::bulk(4, 0, 4)), ipc::BAD_HANDLE},
    {"CloseOfUnknownHandle",    wire::file_close(2, 999), ipc::BAD_HANDLE},
    {"CloseOfSmallestHandle",   wire::file_close(2, kSmallest), ipc::BAD_HANDLE},
    {"SeekOfUnknownHandle",     wire::file_seek(2, 999, 0, kSet), ipc::BAD_HANDLE},
    {"FlushOfLargestHandle",    wire::file_flush(2, kLargest), ipc::BAD_HANDLE},
};
// clang-format on
INSTANTIATE_TEST_SUITE_P(, Numbers, testing::ValuesIn(kNumbers), case_name<BadNumber>);

// A policy that enables no file command: a worker that asks all the same is refused by the broker itself.

class NothingEnabled : public TakenOver, public testing::WithParamInterface<BadNumber> {
protected:
    NothingEnabled() : TakenOver("schema = 1\n") {}
};

TEST_P(NothingEnabled, CommandIsRefusedByTheBroker) {
    const ipc::Reply reply = puppet_.ask(GetParam().frame);
    EXPECT_EQ(reply.error().reason(), ipc::DISABLED);
    EXPECT_EQ(agent_.count_audit("verdict", "refuse"), 1U);
    expect_nothing_happened();
}

const BadNumber kDisabled[] = {
    {"FileOpen", wire::file_open(1, "/etc/hostname", "r"), ipc::DISABLED},
    {"FileClose", wire::file_close(1, kAnyHandle), ipc::DISABLED},
    {"FileRead", wire::file_read(1, kAnyHandle, 1), ipc::DISABLED},
    {"FileWrite", wire::file_write(1, kAnyHandle, wire::bulk(1, 0, 1)), ipc::DISABLED},
    {"FileSeek", wire::file_seek(1, kAnyHandle, 0, kSet), ipc::DISABLED},
    {"FileFlush", wire::file_flush(1, kAnyHandle), ipc::DISABLED},
    {"GetTime", wire::inspect(1, CommandId::kGetTime), ipc::DISABLED},
    {"NetworkGetInterfaces", wire::inspect(1, CommandId::kNetworkGetInterfaces), ipc::DISABLED},
    {"GetVcpus", wire::inspect(1, CommandId::kGetVcpus), ipc::DISABLED},
    {"GetDisks", wire::inspect(1, CommandId::kGetDisks), ipc::DISABLED},
    {"GetFsinfo", wire::inspect(1, CommandId::kGetFsinfo), ipc::DISABLED},
    {"GetMemoryBlocks", wire::inspect(1, CommandId::kGetMemoryBlocks), ipc::DISABLED},
    {"GetMemoryBlockInfo", wire::inspect(1, CommandId::kGetMemoryBlockInfo), ipc::DISABLED},
    {"GetHostName", wire::inspect(1, CommandId::kGetHostName), ipc::DISABLED},
    {"GetUsers", wire::inspect(1, CommandId::kGetUsers), ipc::DISABLED},
    {"GetTimezone", wire::inspect(1, CommandId::kGetTimezone), ipc::DISABLED},
    {"GetOsinfo", wire::inspect(1, CommandId::kGetOsinfo), ipc::DISABLED},
    {"GetDiskstats", wire::inspect(1, CommandId::kGetDiskstats), ipc::DISABLED},
    {"GetCpustats", wire::inspect(1, CommandId::kGetCpustats), ipc::DISABLED},
    {"GetLoad", wire::inspect(1, CommandId::kGetLoad), ipc::DISABLED},
    {"NetworkGetRoute", wire::inspect(1, CommandId::kNetworkGetRoute), ipc::DISABLED},
};
INSTANTIATE_TEST_SUITE_P(, NothingEnabled, testing::ValuesIn(kDisabled), case_name<BadNumber>);

class CompromisedWorker : public TakenOver {
protected:
    void expect_service_goes_on() {
        ASSERT_TRUE(puppet_.is_replaced());
        EXPECT_EQ(puppet_.ask(wire::file_flush(1, kAnyHandle)).error().reason(), ipc::BAD_HANDLE);
        EXPECT_EQ(agent_.workers().size(), 1U);
    }
};

TEST_F(CompromisedWorker, IsToldOnlyWhatThePolicyEnables) {
    EXPECT_EQ(puppet_.welcome().welcome().enabled_size(), 12);
    Agent narrow({.policy = "schema = 1\n", .root = std::string(build_root())});
    HostClient host = narrow.connect();
    const auto commands = result_of(host.ask(command("guest-info"))).at("supported_commands").as_array();
    EXPECT_EQ(std::ranges::count_if(commands, [](const auto& one) { return one.at("enabled").as_bool(); }),
              6);
}

TEST_F(CompromisedWorker, ReadsOfAFileAnotherWorkerOpenedAreTheSameHosts) {
    const std::int64_t handle = open(1, "file", "r");
    puppet_.exit(7);
    ASSERT_TRUE(puppet_.is_replaced());
    const ipc::Reply reply = puppet_.ask(wire::file_read(1, handle, 100));
    EXPECT_EQ(reply.file_read().count(), 8);
    EXPECT_EQ(puppet_.read_arena(0, 8), "contents");
}

TEST_F(CompromisedWorker, ThatNeverReadsItsRepliesIsEnded) {
    constexpr std::uint32_t kMore = 100'000;  // than a socket holds replies
    puppet_.flood(kMore);
    expect_violation();
}

TEST_F(CompromisedWorker, ThatFloodsIsServedInOrderAndStopsWhenTold) {
    for (std::uint64_t at = 1; at <= 2000; ++at) {
        puppet_.send(wire::file_flush(at, kAnyHandle));
        ASSERT_EQ(puppet_.hear().seq(), at);
    }
    EXPECT_EQ(agent_.stop(), 0);
}

TEST_F(CompromisedWorker, ThatFloodsDoesNotKeepTheServiceFromStopping) {
    puppet_.mute();
    puppet_.flood(1'000'000);
    EXPECT_EQ(agent_.stop(), 0);
}

TEST_F(CompromisedWorker, ThatClosesItsSocketIsEnded) {
    puppet_.close_socket();
    expect_service_goes_on();
    expect_nothing_happened();
}

TEST_F(CompromisedWorker, ThatSendsAnEmptyFrameIsTakenToHaveEndedAndIsEnded) {
    puppet_.send("");
    expect_service_goes_on();
    expect_nothing_happened();
}

TEST_F(CompromisedWorker, ThatCrashesIsReplaced) {
    puppet_.crash();
    expect_service_goes_on();
    expect_nothing_happened();
    EXPECT_EQ(agent_.count_audit("what", "worker-ended"), 1U);
}

TEST_F(CompromisedWorker, ThatExitsWithAFailureIsReplaced) {
    puppet_.exit(42);
    expect_service_goes_on();
    expect_nothing_happened();
}

TEST_F(CompromisedWorker, ThatAlwaysViolatesIsReplacedEachTimeAndLeavesNothing) {
    for (int round = 0; round < 8; ++round) {
        puppet_.send("garbage");
        ASSERT_TRUE(puppet_.is_replaced());
    }
    EXPECT_EQ(agent_.count_audit("verdict", "violation"), 8U);
    expect_nothing_happened();
}

TEST_F(CompromisedWorker, ThatDiesInAReadLeavesNothing) {
    const std::int64_t handle = open(1, "large", "r");
    puppet_.send(wire::file_read(2, handle, 3 << 20));
    for (std::size_t at = 0; at < kChunks; ++at) puppet_.hear();
    puppet_.crash();
    expect_service_goes_on();
    ++descriptors_;
    expect_nothing_happened();
    EXPECT_EQ(agent_.count_audit("what", "guest-file-read"), 1U);
}

TEST_F(CompromisedWorker, ThatDiesInAWriteLeavesWhatWasWrittenAndIsAudited) {
    const std::int64_t handle = open(1, "new", "w");
    puppet_.write_arena(0, "abc");
    puppet_.ask(wire::file_write(2, handle, wire::bulk(3, 0, 1)));
    puppet_.crash();
    expect_service_goes_on();
    EXPECT_EQ(read_file(path("work/new")), "a");
    EXPECT_EQ(agent_.count_audit("what", "guest-file-write"), 1U);
    EXPECT_EQ(agent_.count_audit("bytes", "1"), 1U);
}

TEST_F(CompromisedWorker, ThatNeverUsesItsPartsHoldsUpOnlyItself) {
    const std::int64_t handle = open(1, "large", "r");
    puppet_.send(wire::file_read(2, handle, 3 << 20));
    for (std::size_t at = 0; at < kChunks; ++at) puppet_.hear();
    const unsigned long before = cpu_ticks(agent_.broker().pid());
    EXPECT_FALSE(agent_.broker().wait(milliseconds(300))) << "the broker ended";
    EXPECT_EQ(cpu_ticks(agent_.broker().pid()), before);
    EXPECT_EQ(agent_.stop(), 0);
}

TEST_F(CompromisedWorker, ThatClaimsMorePartsUsedThanThereWereIsEnded) {
    const std::int64_t handle = open(1, "file", "r");
    ASSERT_EQ(puppet_.ask(wire::file_read(2, handle, 100)).file_read().count(), 8);
    puppet_.send(wire::chunk_used(2));
    puppet_.send(wire::chunk_used(2));
    ++descriptors_;
    expect_violation();
}

TEST_F(CompromisedWorker, ThatChangesTheArenaMeanwhileWritesOnlyItsOwnBytes) {
    const std::int64_t handle = open(1, "new", "w");
    const std::string part(kChunk, 'A');
    puppet_.write_arena(0, part);
    puppet_.send(wire::file_write(2, handle, wire::bulk(kChunk, 0, kChunk)));
    for (char letter = 'B'; letter < 'F'; ++letter) puppet_.write_arena(0, std::string(kChunk, letter));
    EXPECT_EQ(puppet_.hear().file_write().count(), static_cast<std::int64_t>(kChunk));
    const std::string written = read_file(path("work/new"));
    EXPECT_EQ(written.size(), kChunk);
    EXPECT_EQ(written.find_first_not_of("ABCDEF"), std::string::npos);
}

TEST_F(CompromisedWorker, CannotReadWhatAnEarlierConnectionLeftInTheArena) {
    const std::int64_t handle = open(1, "file", "r");
    puppet_.ask(wire::file_read(2, handle, 100));
    ASSERT_EQ(puppet_.read_arena(0, 8), "contents");
    puppet_.exit(0);
    Puppet next(agent_);
    EXPECT_EQ(next.read_arena(0, 8), std::string(8, '\0'));
    EXPECT_EQ(next.read_arena(kArenaData - 8, 8), std::string(8, '\0'));
}

TEST_F(CompromisedWorker, CannotReachBeyondAFilesMaxSize) {
    Agent agent({.policy = "schema = 1\n[[allow]]\nid = \"s\"\nwhy = \"test\"\ncommands = [\"@file\"]\n"
                           "files = [{ under = \"$D/work\", access = [\"read\", \"write\", \"create\"], "
                           "max_size = \"1KiB\" }]\n",
                 .prepare = [](const Scratch& scratch) { scratch.make_folder("work"); },
                 .root = agent_root()});
    Puppet puppet(agent);
    const std::string file = agent.scratch().path("work/new");
    const std::int64_t handle = puppet.ask(wire::file_open(1, file, "w")).file_open().handle();
    EXPECT_EQ(puppet.ask(wire::file_seek(2, handle, 1020, kSet)).file_seek().position(), 1020);
    EXPECT_EQ(puppet.ask(wire::file_write(3, handle, wire::bulk(5, 0, 5))).error().reason(), ipc::REFUSED);
    constexpr std::int64_t kFar = std::int64_t{1} << 40U;
    EXPECT_EQ(puppet.ask(wire::file_seek(4, handle, kFar, kSet)).file_seek().position(), kFar);
    EXPECT_EQ(puppet.ask(wire::file_write(5, handle, wire::bulk(5, 0, 5))).error().reason(), ipc::REFUSED);
    EXPECT_EQ(std::filesystem::file_size(file), 0U);
}

TEST_F(CompromisedWorker, OpensNoMoreFilesThanTheLimit) {
    for (std::uint64_t at = 1; at <= kMaxOpenFiles; ++at)
        ASSERT_EQ(puppet_.ask(wire::file_open(at, path("work/file"), "r")).result_case(),
                  ipc::Reply::kFileOpen);
    for (std::uint64_t at = 1; at <= 10; ++at)
        EXPECT_EQ(puppet_.ask(wire::file_open(kMaxOpenFiles + at, path("work/file"), "r")).error().reason(),
                  ipc::SYSTEM);
    EXPECT_EQ(count_descriptors(agent_.broker().pid()), descriptors_ + kMaxOpenFiles);
}

TEST_F(CompromisedWorker, DroppedReplyClosesOnlyItsOwnRequestsFile) {
    const std::int64_t first = open(1, "file", "r");
    const std::int64_t second = open(2, "file", "r");
    puppet_.send(wire::reply_dropped(2));
    EXPECT_EQ(puppet_.ask(wire::file_flush(3, first)).result_case(), ipc::Reply::kFileFlush);
    EXPECT_EQ(puppet_.ask(wire::file_flush(4, second)).error().reason(), ipc::BAD_HANDLE);
}

TEST_F(CompromisedWorker, DisabledCommandReportIsAuditedAndAnswered) {
    Agent agent({.policy = "schema = 1\n", .root = agent_root()});
    Puppet puppet(agent);
    const auto open_number = static_cast<std::uint64_t>(CommandId::kFileOpen);
    EXPECT_EQ(puppet.ask(wire::command_disabled(1, open_number)).error().reason(), ipc::DISABLED);
    EXPECT_EQ(agent.count_audit("what", "guest-file-open"), 1U);
}

}  // namespace
}  // namespace sallyport::test
