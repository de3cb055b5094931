// The table of processes: how each program of the agent is started, and what it is proved to hold.
// Runs in:  starter
#pragma once

#include <linux/sched.h>

#include <array>
#include <cstdint>
#include <string_view>

namespace sallyport::starter {

/// The user of a program.
enum class RunsAs : std::uint8_t {
    kUs,     // root, or the user who started the agent
    kPlain,  // the user sallyport, or the user who started the agent if not root
};

/// Standard input, output and error.
enum class Standard : std::uint8_t { kOurs, kNull };

/// The descriptors that a program gets, from 4 on, in the row's order. 3 is its socket to the broker, or where it writes its
/// answer.
enum class Lent : std::uint8_t { kNothing, kState, kRing, kClock, kBudgets, kSetup, kGroups };

/// Which namespaces a program has to itself.
enum class Apart : std::uint8_t {
    kNothing,
    kProcesses,  // it shares the guest's mounts, network and host name
    kAll,        // its root directory is also empty and read-only
};

struct Process {
    const char* name;                   // in messages
    const char* title;                  // argv[0]
    const char* verb;                   // argv[1], if it needs one
    std::array<const char*, 2> places;  // relative to our own directory: installed, and in a build tree
    RunsAs runs_as;
    Standard standard;
    Apart apart;
    std::array<Lent, 4> lent;
    int filters;  // minimum number of seccomp filters; 0: its programs would inherit one
    bool (*is_ready)(std::string_view frame);  // recognises its first frame, sent once confined
};

/// The namespaces that such a process begins with.
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
inline constexpr Process kRecorder {"recorder",  "sallyport-recorder",  nullptr,   {"../libexec/sallyport/recorder",  "recorder/recorder"},               RunsAs::kUs,     Standard::kOurs, Apart::kNothing,   {Lent::kState, Lent::kRing, Lent::kClock, Lent::kBudgets}, 1, recorder_is_ready};
inline constexpr Process kNursery  {"worker",    "sallyport-nursery",   "nursery", {"../libexec/sallyport/worker",    "../worker/worker"},                RunsAs::kPlain,  Standard::kNull, Apart::kAll,       {},                                          1, nursery_is_ready};
inline constexpr Process kLauncher {"launcher",  "sallyport-launcher",  nullptr,   {"../libexec/sallyport/launcher",  "launcher/launcher"},               RunsAs::kUs,     Standard::kOurs, Apart::kNothing,   {Lent::kGroups},                             0, launcher_is_ready};
inline constexpr Process kInspector{"inspector", "sallyport-inspector", nullptr,   {"../libexec/sallyport/inspector", "../inspector/inspector"},          RunsAs::kPlain,  Standard::kNull, Apart::kProcesses, {},                                          1, inspector_is_ready};
inline constexpr Process kFiles    {"files",     "sallyport-files",     nullptr,   {"../libexec/sallyport/files",     "files/files"},                     RunsAs::kUs,     Standard::kOurs, Apart::kNothing,   {Lent::kSetup, Lent::kState},                1, files_is_ready};
// What the starter becomes. The handover message names its other descriptors.
inline constexpr Process kBroker   {"broker",    "sallyport-broker",    nullptr,   {"../libexec/sallyport/broker",    "broker"},                          RunsAs::kUs,     Standard::kOurs, Apart::kNothing,   {Lent::kSetup},                              1, nullptr};
// It has no socket to us: it writes its answer to 3, and ends before anything else is started.
inline constexpr Process kTool     {"tool",      "sallyport-policy",    nullptr,   {"../bin/sallyport-policy",        "../policy/tool/verbs/sallyport-policy"},  RunsAs::kPlain,  Standard::kOurs, Apart::kNothing,   {},                                          1, nullptr};
// clang-format on

inline constexpr std::array kProcesses{kGuard,     kRecorder, kNursery, kLauncher,
                                       kInspector, kFiles,    kBroker,  kTool};

}  // namespace sallyport::starter
