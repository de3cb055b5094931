// The self-proof: each single difference is found and named.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <linux/sched.h>
#include <sched.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <csignal>
#include <cstring>
#include <ostream>
#include <span>
#include <string>

#include "sandbox/proof.hpp"
#include "tests/sandbox/confined.hpp"

namespace sallyport::sandbox::testing {
namespace {

constexpr const char* kStatus =
    "Name:\tUid: 7\n"  // a process names itself
    "State:\tS (sleeping)\n"
    "Uid:\t990\t990\t990\t990\n"
    "Gid:\t991\t991\t991\t991\n"
    "Groups:\t \n"
    "CapInh:\t0000000000000000\n"
    "CapPrm:\t0000000000000004\n"
    "CapEff:\t0000000000000004\n"
    "CapBnd:\t0000000000000000\n"
    "CapAmb:\t0000000000000000\n"
    "NoNewPrivs:\t1\n"
    "Seccomp:\t2\n"
    "Seccomp_filters:\t1\n"
    "Speculation_Store_Bypass:\tthread vulnerable\n";

constexpr Expected kExpected{.uid = 990, .gid = 991, .groups_are_ours = true, .capabilities = 4};

UniqueFd file_of(const std::string& text) {
    UniqueFd file(::memfd_create("status", MFD_CLOEXEC));
    EXPECT_EQ(::write(file.get(), text.data(), text.size()), static_cast<ssize_t>(text.size()));
    return file;
}

std::string with(std::string_view line, std::string_view other) {
    std::string text = kStatus;
    const std::size_t at = text.find(line);
    EXPECT_NE(at, text.npos) << line;
    return text.replace(at, line.size(), other);
}

TEST(Proof, WhatWasMeantIsAccepted) {
    const auto held = read_credentials(file_of(kStatus));
    ASSERT_TRUE(held);
    EXPECT_TRUE(compare(kExpected, *held));
}

struct Difference {
    const char* name;
    const char* line;
    const char* instead;
    const char* what;
};

void PrintTo(const Difference& difference, std::ostream* out) {
    *out << difference.name;
}

class ProofOf : public ::testing::TestWithParam<Difference> {};

// clang-format off
INSTANTIATE_TEST_SUITE_P(, ProofOf, ::testing::Values(
    Difference{"RealUser",        "Uid:\t990\t990",               "Uid:\t0\t990",                "user id"},
    Difference{"FileSystemUser",  "990\t990\n",                   "990\t0\n",                    "user id"},
    Difference{"Group",           "Gid:\t991",                    "Gid:\t0",                     "group id"},
    Difference{"SupplementaryGroups", "Groups:\t ",              "Groups:\t27 42 ",             "supplementary groups"},
    Difference{"SupplementaryRoot", "Groups:\t ",                "Groups:\t0 ",                 "supplementary groups"},
    Difference{"Inheritable",     "CapInh:\t0000000000000000",    "CapInh:\t0000000000000001",   "inheritable capabilities"},
    Difference{"OneMorePermitted", "CapPrm:\t0000000000000004",   "CapPrm:\t0000000000000006",   "permitted capabilities"},
    Difference{"OneLessPermitted", "CapPrm:\t0000000000000004",   "CapPrm:\t0000000000000000",   "permitted capabilities"},
    Difference{"Effective",       "CapEff:\t0000000000000004",    "CapEff:\t000001ffffffffff",   "effective capabilities"},
    Difference{"Bounding",        "CapBnd:\t0000000000000000",    "CapBnd:\t8000000000000000",   "bounding set"},
    Difference{"Ambient",         "CapAmb:\t0000000000000000",    "CapAmb:\t0000000000000004",   "ambient capabilities"},
    Difference{"NewPrivileges",   "NoNewPrivs:\t1",               "NoNewPrivs:\t0",              "no_new_privs"},
    Difference{"NoFilter",        "Seccomp:\t2",                  "Seccomp:\t0",                 "seccomp mode"},
    Difference{"StrictMode",      "Seccomp:\t2",                  "Seccomp:\t1",                 "seccomp mode"},
    Difference{"FewerFilters",    "Seccomp_filters:\t1",          "Seccomp_filters:\t0",         "seccomp filters"}),
    [](const auto& difference) { return std::string(difference.param.name); });
// clang-format on

TEST_P(ProofOf, IsNamed) {
    const auto held = read_credentials(file_of(with(GetParam().line, GetParam().instead)));
    ASSERT_TRUE(held) << held.error().what;
    const auto same = compare(kExpected, *held);
    ASSERT_FALSE(same);
    EXPECT_EQ(same.error().code, Errc::kProof);
    EXPECT_STREQ(same.error().what, GetParam().what);
}

TEST(Proof, MoreFiltersThanMeantAreAccepted) {
    const auto held = read_credentials(file_of(with("Seccomp_filters:\t1", "Seccomp_filters:\t3")));
    ASSERT_TRUE(held);
    EXPECT_TRUE(compare(kExpected, *held));
}

TEST(Proof, BoundingSetOfAnOrdinaryUserIsNotJudged) {
    const auto held =
        read_credentials(file_of(with("CapBnd:\t0000000000000000", "CapBnd:\t000001ffffffffff")));
    ASSERT_TRUE(held);
    Expected expected = kExpected;
    expected.bounding_is_ours = false;
    EXPECT_TRUE(compare(expected, *held));
}

TEST(Proof, GroupsOfAnOrdinaryUserAreNotJudged) {
    const auto held = read_credentials(file_of(with("Groups:\t ", "Groups:\t27 42 ")));
    ASSERT_TRUE(held);
    Expected expected = kExpected;
    expected.groups_are_ours = false;
    EXPECT_TRUE(compare(expected, *held));
}

TEST(Proof, AMissingOrBrokenLineIsNoProof) {
    for (const char* name : {"Uid", "Gid", "CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb", "NoNewPrivs",
                             "Seccomp", "Seccomp_filters"}) {
        const std::string line = std::string("\n") + name + ":\t";
        for (const std::string& instead : {std::string("\nX:\t"), line + "x", line + "1 "}) {
            const auto held = read_credentials(file_of(with(line, instead)));
            ASSERT_FALSE(held) << instead;
            EXPECT_EQ(held.error().code, Errc::kProof);
        }
    }
    EXPECT_FALSE(read_credentials(file_of(with("\nGroups:\t", "\nX:\t"))));
    EXPECT_FALSE(read_credentials(file_of(with("\nGroups:\t", "\nGroups:\tx"))));
    EXPECT_FALSE(read_credentials(file_of("")));
}

TEST(Proof, OwnStatusIsReadAgainFromItsBeginning) {
    const UniqueFd status(::open("/proc/self/status", O_RDONLY | O_CLOEXEC));
    for (int round = 0; round < 2; ++round) {
        const auto held = read_credentials(status);
        ASSERT_TRUE(held) << held.error().what;
        EXPECT_EQ(held->uid[1], ::geteuid());
        EXPECT_EQ(held->gid[3], ::getegid());
        EXPECT_EQ(held->seccomp_filters, 0);
    }
}

// A process in these new namespaces that does nothing until it is killed.
class Apart {
public:
    explicit Apart(std::uint64_t namespaces) {
        clone_args how{};
        how.flags = namespaces;
        how.exit_signal = SIGCHLD;
        pid_ = static_cast<pid_t>(::syscall(SYS_clone3, &how, sizeof how));
        if (pid_ == 0)
            for (;;) ::pause();
        EXPECT_GT(pid_, 0) << std::strerror(errno);
    }
    ~Apart() {
        ::kill(pid_, SIGKILL);
        ::waitpid(pid_, nullptr, 0);
    }
    Apart(const Apart&) = delete;
    Apart& operator=(const Apart&) = delete;

    [[nodiscard]] std::string difference(Status (*prove)(FdRef) = prove_apart) const {
        const UniqueFd process(
            ::open(("/proc/" + std::to_string(pid_)).c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC));
        const auto apart = prove(process);
        return apart ? "none" : apart.error().what;
    }

private:
    pid_t pid_ = -1;
};

struct Row {
    std::uint64_t flag;
    const char* what;
};
// The first four are the inspector's.
constexpr std::array kRows{
    Row{CLONE_NEWUSER, "user namespace: shared"}, Row{CLONE_NEWIPC, "IPC namespace: shared"},
    Row{CLONE_NEWPID, "pid namespace: shared"},   Row{CLONE_NEWCGROUP, "cgroup namespace: shared"},
    Row{CLONE_NEWNS, "mount namespace: shared"},  Row{CLONE_NEWNET, "network namespace: shared"},
    Row{CLONE_NEWUTS, "UTS namespace: shared"},
};

std::uint64_t all_of(std::span<const Row> rows) {
    std::uint64_t all = 0;
    for (const Row& row : rows) all |= row.flag;
    return all;
}

void expect_each_is_named(std::span<const Row> rows, Status (*prove)(FdRef)) {
    const Ended ended = in_child([&] {
        for (const Row& row : rows) {
            // Without a new user namespace the others take root.
            if (row.flag == CLONE_NEWUSER && ::geteuid() != 0) continue;
            EXPECT_EQ(Apart(all_of(rows) & ~row.flag).difference(prove), row.what);
        }
        return ::testing::Test::HasFailure() ? 1 : 0;
    });
    EXPECT_TRUE(ended.exited());
}

TEST(ProofOfSeparation, EachSharedNamespaceIsNamed) {
    expect_each_is_named(kRows, prove_apart);
}

TEST(ProofOfSeparation, OfTheInspectorEachOfItsFourNamespacesIsNamedAndTheOthersMayBeShared) {
    const auto its = std::span(kRows).first(4);
    expect_each_is_named(its, prove_processes_apart);
    EXPECT_EQ(Apart(all_of(its)).difference(prove_processes_apart), "none");
}

TEST(ProofOfSeparation, ARootDirectoryWithContentsIsNoProof) {
    const Apart process(CLONE_NEWUSER | CLONE_NEWNS | CLONE_NEWNET | CLONE_NEWIPC | CLONE_NEWUTS |
                        CLONE_NEWPID | CLONE_NEWCGROUP);
    EXPECT_EQ(process.difference().substr(0, 14), "root directory");
}

}  // namespace
}  // namespace sallyport::sandbox::testing
