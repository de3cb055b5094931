// Every bound on what another party can ask for.
// Runs in:  every process; data only
#pragma once

#include <cstddef>
#include <cstdint>

namespace sallyport {

// Host to worker. The first four are qemu-ga's own limits.
inline constexpr std::size_t kMaxNesting = 1024;                        // braces and brackets open at once
inline constexpr std::size_t kMaxTokens = std::size_t{2} << 20U;        // in one value
inline constexpr std::size_t kMaxValueSize = std::size_t{64} << 20U;    // bytes of one value
inline constexpr std::int64_t kMaxReadCount = std::int64_t{48} << 20U;  // guest-file-read
inline constexpr std::int64_t kDefaultReadCount = 4096;
inline constexpr std::size_t kHostReadSize = std::size_t{64} << 10U;  // read from the channel at a time
inline constexpr std::size_t kMaxQueued = 64;  // requests read ahead of the one being served
inline constexpr std::size_t kMaxQueuedSize = std::size_t{1}
                                              << 20U;  // bytes of those; a single request may be larger
inline constexpr std::size_t kMaxUnsent = std::size_t{256} << 10U;  // reply bytes waiting for a slow host
inline constexpr int kSyncPatienceMs = 2000;                        // libvirt gives up after 5 s

// Worker to broker.
inline constexpr std::size_t kMaxFrame = std::size_t{64} << 10U;
inline constexpr std::size_t kMaxFrameDescriptors = 4;
inline constexpr std::size_t kMaxPath = 4095;    // PATH_MAX without its NUL
inline constexpr std::size_t kMaxOpenMode = 64;  // a longer text is no mode

// The arena: a header page that only workers use, then the data area.
inline constexpr std::size_t kArenaHeader = 4096;
inline constexpr std::size_t kChunk = std::size_t{256} << 10U;
inline constexpr std::size_t kChunks = 4;
inline constexpr std::size_t kMaxMountList = kChunk;  // encoded list of mount points
inline constexpr std::size_t kArenaData = kChunk * kChunks;
inline constexpr std::size_t kArenaSize = kArenaHeader + kArenaData;

// Launcher.
inline constexpr std::size_t kMaxLauncherRequest = 16;
inline constexpr unsigned kPowerDeadlineMs = 30'000;  // per program
inline constexpr unsigned kHookDeadlineMs = 10'000;

// Programs that a host starts.
inline constexpr std::size_t kMaxExec = kArenaData;  // encoded guest-exec: words, environment, input
inline constexpr std::size_t kMaxExecOrder = kMaxExec + kMaxFrame;
inline constexpr std::size_t kExecPart = kMaxFrame - 64;  // part of an order or of output, in one frame
inline constexpr std::size_t kMaxExecTable = kMaxFrame / 4 * 3;  // all encoded templates of a policy
inline constexpr std::size_t kMaxExecWord = 4095;                // one word in a template
inline constexpr std::uint32_t kMaxExecInput = std::uint32_t{1} << 20U;
inline constexpr std::uint32_t kDefaultExecOutput = std::uint32_t{64} << 10U;
inline constexpr std::uint32_t kMaxExecOutput = std::uint32_t{16} << 20U;  // as qemu-ga
inline constexpr std::uint32_t kDefaultExecMs = 30'000;
inline constexpr std::uint32_t kMaxExecMs = 24 * 3'600'000;
inline constexpr std::uint32_t kMaxConcurrent = 32;  // programs of one template
inline constexpr std::size_t kMaxPrograms = 64;      // running, or with a result nobody has asked for
inline constexpr std::size_t kMaxUnread = 32;        // of the latter; beyond that the oldest is dropped
inline constexpr std::size_t kMaxUnreadSize = std::size_t{64}
                                              << 20U;        // bytes of their output, except the newest one's
inline constexpr std::int64_t kExecStartNs = 5'000'000'000;  // how long a host waits for the start
inline constexpr std::int64_t kStatusPatienceNs =
    5'000'000;  // so long a program that still runs is waited for

// Passwords and keys of users.
inline constexpr std::size_t kMaxUserName = 256;
inline constexpr std::size_t kMaxPassword = 1024;                     // or its hash; crypt() takes 512
inline constexpr std::size_t kMaxAccountOrder = kMaxFrame - 4096;     // and of an answer: one frame
inline constexpr std::size_t kMaxKeysFile = std::size_t{256} << 10U;  // of a user's authorized_keys
inline constexpr std::uint32_t kDefaultMaxKeys = 100;
inline constexpr std::uint32_t kMaxKeys = 10'000;
inline constexpr std::size_t kMaxErrands =
    8;                                // of these that are under way, or were given up and have not ended
inline constexpr int kKeysMs = 4000;  // hosts give up after 5 s
inline constexpr int kPasswordMs = 20'000;  // chpasswd waits 15 s for whoever else changes a password
inline constexpr std::int64_t kAccountLateNs = 25'000'000'000;  // so long the broker waits for the launcher
inline constexpr std::int64_t kAccountTellNs = 5'000'000'000;   // and for its turn

// What a host sets: the clock, processors, memory blocks.
inline constexpr std::int64_t kSettableEndNs = 3'155'760'000'000'000'000;  // the year 2070, as with qemu-ga
inline constexpr std::size_t kMaxSetItems = 1024;  // processors or blocks of one request
inline constexpr std::size_t kMaxSpans = 256;      // of numbers in one rule
inline constexpr unsigned kSetMs = 30'000;  // so long one request may take; then its setter is told to end
inline constexpr std::int64_t kSetLateMs = kSetMs + 5'000;  // so long the broker waits for it
inline constexpr std::size_t kMaxSetters = 4;               // at work, or told to end and still in the kernel

// Inspector.
inline constexpr std::size_t kMaxInspected = std::size_t{4} << 20U;  // encoded reply
inline constexpr std::size_t kInspectedPart = kMaxFrame - 64;        // part of a reply in one frame
inline constexpr std::size_t kMaxInspectedThings = std::size_t{1}
                                                   << 17U;  // interfaces, disks and their parts
inline constexpr int kInspectMs = 3000;                     // hosts give up after 5 s
inline constexpr int kInspectPatienceMs =
    500;  // a file system that takes longer has not answered, whoever is asked then
inline constexpr int kInspectorChildMs =
    1000;  // so long a child answers; nothing that took it over is there for those after

// Broker.
inline constexpr std::size_t kMaxOpenFiles = 512;
inline constexpr std::int64_t kFirstHandle = 1000;
inline constexpr std::int64_t kHandlesPerRun = std::int64_t{1} << 32U;  // reserved on the disk at each start
inline constexpr std::int64_t kLastHandle = std::int64_t{1} << 62U;   // the largest that a run may begin with
inline constexpr std::size_t kMaxPolicySize = std::size_t{1} << 20U;  // source text
inline constexpr std::size_t kMaxCompiledSize = std::size_t{4} << 20U;
inline constexpr int kCompileDeadlineMs = 10'000;
inline constexpr std::size_t kMaxRules = 4096;
inline constexpr std::int64_t kWhenStart =
    1'735'689'600;  // the year 2025: earlier switches of time zones are left out
inline constexpr std::int64_t kWhenEnd =
    2'997'993'600;  // the year 2065: the clocks of time zones are known up to here
inline constexpr std::size_t kMaxBuckets = 128;  // 'rate' and 'bytes' of all rules
inline constexpr std::int64_t kMaxFillNs =
    std::int64_t{366} * 86'400 * 1'000'000'000;   // in which an empty bucket of a budget is full
inline constexpr std::size_t kMaxSwitches = 256;  // of one time zone

// The files hand.
inline constexpr std::int64_t kFileTimeoutNs = 5'000'000'000;  // per order; then its clerk is abandoned
inline constexpr std::size_t kMaxFileWork = 8;                 // opens, closes and seeks under way
inline constexpr std::size_t kMaxKeptFiles = 32;               // open files with a clerk of their own
inline constexpr std::size_t kMaxHungClerks = 8;               // killed but not ended yet
inline constexpr std::size_t kMaxClerks = kMaxKeptFiles + kMaxHungClerks + 8;
inline constexpr std::size_t kMaxFilesSetup = kMaxCompiledSize + (std::size_t{1} << 20U);
inline constexpr std::size_t kMaxEarlier = 32;  // things of earlier runs that one deny rule's path has named

// Freezing.
inline constexpr std::uint32_t kDefaultMaxFrozenMs = 60'000;
inline constexpr std::uint32_t kDefaultPerMountMs = 30'000;
inline constexpr std::uint32_t kMaxFrozenMs = 3'600'000;
inline constexpr std::size_t kMaxFreezeRows = 64;
inline constexpr std::size_t kMaxFreezeMounts = 4096;  // file systems of one plan
inline constexpr std::int64_t kGuardTimeoutNs =
    30'000'000'000;  // to plan and open what is ordered, or to report on a thaw

// The audit log.
inline constexpr std::size_t kLogRing = std::size_t{1} << 20U;  // lines waiting for the recorder
inline constexpr std::size_t kMaxLogLine = std::size_t{32}
                                           << 10U;  // without the hash; longer ones are shortened
inline constexpr std::size_t kLogBatch = std::size_t{64} << 10U;  // written at once
inline constexpr std::size_t kMaxJournalLine = 4096;  // PIPE_BUF: written completely or not at all
inline constexpr std::size_t kMaxHeldLines = 256;     // for the journal, held until the thaw
inline constexpr std::int64_t kLogPatienceNs =
    1'000'000'000;  // if the recorder takes nothing for this long, that is loss
inline constexpr std::int64_t kKeepTimeEvery = 60;           // seconds between writes of the latest time
inline constexpr std::int64_t kEndOfTime = 253'402'300'800;  // the year 10000: no later time is kept
inline constexpr std::uint64_t kMinLogSize = std::uint64_t{256} << 10U;  // audit.max_size
inline constexpr std::uint64_t kDefaultLogSize = std::uint64_t{4} << 20U;
inline constexpr std::uint64_t kMaxLogSize = std::uint64_t{1} << 40U;
inline constexpr std::uint32_t kDefaultLogKeep = 6;  // audit.keep: files besides the current one
inline constexpr std::uint32_t kMaxLogKeep = 999;

}  // namespace sallyport
