// The table of processes: what each program of the agent is started with, and what it is proved to hold.
// Runs in:  starter
#pragma once

#include <linux/sched.h>

#include <array>
#include <cstdint>
#include <string_view>

namespace sallyport::starter {

/// Whom a program runs as.
enum class RunsAs : std::uint8_t {
    kUs,     // root, or whoever started the agent
    kPlain,  // the user sallyport, or whoever started the agent if that is not root
};

/// Standard input, output and error.
enum class Standard : std::uint8_t { kOurs, kNull };

/// What a program is lent: its descriptors from 4 on, in the row's order. 3 is its socket to the broker, or what it answers on.
enum class Lent : std::uint8_t { kNothing, kState, kRing, kClock, kSetup, kGroups };

/// What it does not share with us.
enum class Apart : std::uint8_t {
    kNothing,
    kProcesses,  // it sees the guest's mounts, network and host name
    kAll,        // its root directory is empty and read-only, too
};

struct Process {
    const char* name;                   // in messages
    const char* title;                  // its first word
    const char* verb;                   // its second, if it needs one
    std::array<const char*, 2> places;  // from our own directory on: as installed, and in a build tree
    RunsAs runs_as;
    Standard standard;
    Apart apart;
    std::array<Lent, 3> lent;
    int filters;  // of system calls, at the least; 0: what it starts would inherit one
    bool (*is_ready)(std::string_view frame);  // its first frame, once it is confined
};

/// The namespaces that a process which is so far apart begins with.
constexpr std::uint64_t namespaces_of(Apart apart) {
    constexpr std::uint64_t kProcesses = CLONE_NEWUSER | CLONE_NEWIPC | CLONE_NEWPID | CLONE_NEWCGROUP;
    if (apart == Apart::kNothing) return 0;
    return apart == Apart::kProcesses ? kProcesses : kProcesses | CLONE_NEWNS | CLONE_NEWNET | CLONE_NEWUTS;
}

bool guard_is_ready(std::string_view frame);
bool recorder_is_ready(std::string_view frame);
bool nursery_is_ready(std::string_view frame);
bool launcher_is_ready(std::string_view frame);
bool inspector_is_ready(std::string_view frame);
bool files_is_ready(std::string_view frame);

// clang-format off
//                               in messages    title                  verb       as installed                        in a build tree                     runs as          standard         apart              lent                                         filters  ready
inline constexpr Process kGuard    {"guard",     "sallyport-guard",     "serve",   {"../libexec/sallyport/guard",     "guard/guard"},                     RunsAs::kUs,     Standard::kNull, Apart::kNothing,   {},                                          1, guard_is_ready};
inline constexpr Process kRecorder {"recorder",  "sallyport-recorder",  nullptr,   {"../libexec/sallyport/recorder",  "recorder/recorder"},               RunsAs::kUs,     Standard::kOurs, Apart::kNothing,   {Lent::kState, Lent::kRing, Lent::kClock},   1, recorder_is_ready};
inline constexpr Process kNursery  {"worker",    "sallyport-nursery",   "nursery", {"../libexec/sallyport/worker",    "../worker/worker"},                RunsAs::kPlain,  Standard::kNull, Apart::kAll,       {},                                          1, nursery_is_ready};
inline constexpr Process kLauncher {"launcher",  "sallyport-launcher",  nullptr,   {"../libexec/sallyport/launcher",  "launcher/launcher"},               RunsAs::kUs,     Standard::kOurs, Apart::kNothing,   {Lent::kGroups},                             0, launcher_is_ready};
inline constexpr Process kInspector{"inspector", "sallyport-inspector", nullptr,   {"../libexec/sallyport/inspector", "../inspector/inspector"},          RunsAs::kPlain,  Standard::kNull, Apart::kProcesses, {},                                          1, inspector_is_ready};
inline constexpr Process kFiles    {"files",     "sallyport-files",     nullptr,   {"../libexec/sallyport/files",     "files/files"},                     RunsAs::kUs,     Standard::kOurs, Apart::kNothing,   {Lent::kSetup, Lent::kState},                1, files_is_ready};
// What the starter becomes. Its other descriptors are those that the handover names.
inline constexpr Process kBroker   {"broker",    "sallyport-broker",    nullptr,   {"../libexec/sallyport/broker",    "broker"},                          RunsAs::kUs,     Standard::kOurs, Apart::kNothing,   {Lent::kSetup},                              1, nullptr};
// It has no socket to us: what it writes on 3 is its answer, and it ends before anything else is started.
inline constexpr Process kTool     {"tool",      "sallyport-policy",    nullptr,   {"../bin/sallyport-policy",        "../policy/tool/verbs/sallyport-policy"},  RunsAs::kPlain,  Standard::kOurs, Apart::kNothing,   {},                                          1, nullptr};
// clang-format on

inline constexpr std::array kProcesses{kGuard,     kRecorder, kNursery, kLauncher,
                                       kInspector, kFiles,    kBroker,  kTool};

}  // namespace sallyport::starter
