// How long writers stall when twenty file systems with dirty data are frozen and thawed at once: this agent beside qemu-ga,
// on the same mounts, in turns. Runs in a cage, see tests/support/cage.hpp; prints one JSON object.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <boost/json/array.hpp>
#include <boost/json/object.hpp>
#include <boost/json/serialize.hpp>
#include <cstdio>
#include <memory>
#include <vector>

#include "tests/freeze/freezing.hpp"
#include "tests/support/qemu_ga.hpp"

namespace sallyport::test {
namespace {

constexpr std::size_t kSystems = 20;
constexpr std::size_t kDirty = 48UL << 20U;  // of each file system, before each freeze
constexpr int kRounds = 5;

struct Shared {
    std::atomic<bool> is_over;
    std::atomic<std::int64_t> longest_us[kSystems];  // of one write, since it was set to 0
    std::atomic<std::int64_t> writes[kSystems];
};

std::int64_t now_us() {
    return std::chrono::duration_cast<std::chrono::microseconds>(Clock::now().time_since_epoch()).count();
}

// Rewrites the first page of a file, again and again, and notes how long the longest write took.
int write_on(const std::string& file, Shared& shared, std::size_t number) {
    const int fd = ::open(file.c_str(), O_WRONLY | O_CREAT, 0600);
    const std::string page(4096, 'w');
    while (!shared.is_over) {
        const std::int64_t begun = now_us();
        if (::pwrite(fd, page.data(), page.size(), 0) != static_cast<ssize_t>(page.size())) return 1;
        const std::int64_t took = now_us() - begun;
        if (took > shared.longest_us[number]) shared.longest_us[number] = took;
        ++shared.writes[number];
        timespec pause{.tv_sec = 0, .tv_nsec = 1'000'000};
        ::clock_nanosleep(CLOCK_MONOTONIC, 0, &pause, nullptr);
    }
    return 0;
}

void make_dirty(const std::vector<std::unique_ptr<LoopFs>>& systems) {
    const std::string part(1UL << 20U, 'd');
    for (const auto& system : systems) {
        const UniqueFd file(::open(system->path("dirty").c_str(), O_WRONLY | O_CREAT | O_CLOEXEC, 0600));
        for (std::size_t at = 0; at < kDirty; at += part.size())
            ASSERT_EQ(::pwrite(file.get(), part.data(), part.size(), static_cast<off_t>(at)),
                      static_cast<ssize_t>(part.size()));
    }
}

// The longest single write of any writer in a freeze and a thaw, in microseconds.
std::int64_t measure(HostClient& host, const std::vector<std::unique_ptr<LoopFs>>& systems, Shared& shared) {
    make_dirty(systems);
    for (auto& one : shared.longest_us) one = 0;
    EXPECT_EQ(freeze(host), static_cast<std::int64_t>(kSystems));
    EXPECT_EQ(thaw(host), static_cast<std::int64_t>(kSystems));
    std::int64_t longest = 0;
    for (std::size_t at = 0; at < kSystems; ++at) {
        // The write that was held up has ended when another has.
        const std::int64_t before = shared.writes[at];
        EXPECT_TRUE(eventually([&] { return shared.writes[at] > before + 1; }));
        longest = std::max(longest, shared.longest_us[at].load());
    }
    return longest;
}

TEST(FreezeStall, OfTheLongestWriteBesideQemuGas) {
    std::vector<std::unique_ptr<LoopFs>> systems;
    for (std::size_t at = 0; at < kSystems; ++at)
        systems.push_back(std::make_unique<LoopFs>(
            LoopFs::Wanted{.name = "fs" + std::to_string(at), .size = 128UL << 20U}));
    void* memory = ::mmap(nullptr, sizeof(Shared), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    ASSERT_NE(memory, MAP_FAILED);
    Shared& shared = *std::construct_at(static_cast<Shared*>(memory));
    std::vector<std::unique_ptr<Child>> writers;
    for (std::size_t at = 0; at < kSystems; ++at)
        writers.push_back(std::make_unique<Child>(
            [&, at, file = systems[at]->path("written")] { return write_on(file, shared, at); }));
    Agent agent({.policy = freeze_policy()});
    ASSERT_TRUE(agent.is_serving()) << agent.messages();
    const QemuGa qemu_ga;
    boost::json::array ours;
    boost::json::array theirs;
    for (int round = 0; round < kRounds; ++round) {
        {
            HostClient host = agent.connect();
            ours.emplace_back(measure(host, systems, shared));
        }
        {
            HostClient host(qemu_ga.socket());
            theirs.emplace_back(measure(host, systems, shared));
        }
    }
    shared.is_over = true;
    for (const auto& writer : writers) EXPECT_EQ(writer->wait(), 0);
    boost::json::object result;
    result["ours"] = std::move(ours);
    result["theirs"] = std::move(theirs);
    std::printf("%s\n", boost::json::serialize(result).c_str());
}

}  // namespace
}  // namespace sallyport::test
