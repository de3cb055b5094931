// What other kernels, older, newer or broken, say in /proc and /sys, read beside Debian's qemu-ga: the same answers.
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <memory>
#include <random>

#include "tests/e2e/guest.hpp"
#include "tests/support/cases.hpp"
#include "tests/support/qemu_ga.hpp"

namespace sallyport::test {
namespace {

namespace fs = std::filesystem;

constexpr const char* kMemory = "/sys/devices/system/memory";

// A guest whose /proc/stat, /proc/diskstats and memory blocks a test writes.
struct Kernel {
    Scratch scratch;
    std::unique_ptr<QemuGa> qemu;
    std::unique_ptr<Agent> agent;

    Kernel() {
        enter_own_guest();
        for (const char* name : {"stat", "diskstats"})
            shell("mount --bind " + scratch.write(name, "") + " /proc/" + name);
        shell(std::string("mount -t tmpfs none ") + kMemory);
        qemu = std::make_unique<QemuGa>();
        agent = std::make_unique<Agent>(AgentOptions{.policy = std::string(kLook)});
    }
    ~Kernel() {
        agent.reset();
        qemu.reset();
        shell(std::string("umount /proc/stat /proc/diskstats ") + kMemory);
    }
};

class OtherKernel : public testing::Test {
protected:
    static void SetUpTestSuite() { kernel_ = std::make_unique<Kernel>(); }
    static void TearDownTestSuite() { kernel_.reset(); }

    static void write(const std::string& name, const std::string& text) {
        std::ofstream(kernel_->scratch.path(name), std::ios::binary) << text;
    }
    static void expect_same(std::string_view name) {
        HostClient qemu(kernel_->qemu->socket());
        HostClient ours = kernel_->agent->connect();
        EXPECT_EQ(ours.ask(command(name)), qemu.ask(command(name)));
    }
    static std::unique_ptr<Kernel> kernel_;
};

std::unique_ptr<Kernel> OtherKernel::kernel_;

struct Lines {
    const char* name;
    const char* text;
};

class ProcessorLines : public OtherKernel, public testing::WithParamInterface<Lines> {};

TEST_P(ProcessorLines, AreReadAsByQemu) {
    write("stat", GetParam().text);
    expect_same("guest-get-cpustats");
}

const Lines kProcessors[] = {
    {"OfAPresentKernel",
     "cpu  1 2 3 4 5 6 7 8 9 10\ncpu0 1 2 3 4 5 6 7 8 9 10\ncpu1 0 0 0 0 0 0 0 0 0 0\nintr 1\n"},
    {"OfFourColumns", "cpu0 1 2 3 4\n"},
    {"OfSevenColumns", "cpu0 1 2 3 4 5 6 7\ncpu7 1 2 3 4 5 6 7\n"},
    {"OfElevenColumns", "cpu0 1 2 3 4 5 6 7 8 9 10 11\n"},
    {"OfThreeColumns", "cpu0 1 2 3 4\ncpu1 1 2 3\ncpu2 1 2 3 4\n"},
    {"WithoutColumns", "cpu0\ncpu1 1 2 3 4\n"},
    {"WithMinusOne", "cpu0 -1 2 3 4 -1\n"},
    {"WithAWord", "cpu0 1 2 3 4 x 6\n"},
    {"WithTooLargeANumber", "cpu0 99999999999999999999999 2 3 4\n"},
    {"Nowhere", "intr 1\n"},
};
INSTANTIATE_TEST_SUITE_P(, ProcessorLines, testing::ValuesIn(kProcessors), case_name<Lines>);

class DiskLines : public OtherKernel, public testing::WithParamInterface<Lines> {};

TEST_P(DiskLines, AreReadAsByQemu) {
    write("diskstats", GetParam().text);
    expect_same("guest-get-diskstats");
}

const Lines kDisks[] = {
    {"OfAPresentKernel",
     " 8 0 sda 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17\n 8 1 sda1 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 "
     "17\n"},
    {"OfALaterKernel", " 8 0 sda 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19\n"},
    {"WithDiscards", " 8 0 sda 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15\n"},
    {"OfElevenColumns", " 8 0 sda 1 2 3 4 5 6 7 8 9 10 11\n"},
    {"OfPartitionsLongAgo", " 8 0 sda 1 2 3 4 5 6 7 8 9 10 11\n 8 1 sda1 1 2 3 4\n"},
    {"BetweenTheLayouts",
     " 8 0 a 1 2 3 4 5\n 8 1 b 1 2 3 4 5 6 7 8 9 10\n 8 2 c 1 2 3 4 5 6 7 8 9 10 11 12\n 8 3 d 1 2 3\n 8 4 "
     "e\n"},
    {"WithMinusOneInProgress", " 8 0 sda 1 2 3 4 5 6 7 8 -1 10 11\n"},
    {"WithMinusOneEverywhere", " 8 0 sda -1 -1 -1 -1 -1 -1 -1 -1 -1 -1 -1 -1 -1 -1 -1 -1 -1\n"},
    {"WithNumbersOfMoreThan32Bits",
     " 8 0 sda 9999999999 9999999999 9999999999 9999999999 9999999999 9999999999 9999999999 9999999999 "
     "9999999999 9999999999 9999999999\n"},
    {"WithAWord", " 8 0 sda 1 2 3 4 5 x 7 8 9 10 11\n"},
    {"WithAPlus", " 8 0 sda +1 2 3 4 5 6 7 8 9 10 11\n"},
    {"WithAnEmptyLine", "\n 8 0 sda 1 2 3 4 5 6 7 8 9 10 11\n\n"},
};
INSTANTIATE_TEST_SUITE_P(, DiskLines, testing::ValuesIn(kDisks), case_name<Lines>);

std::string random_lines(std::mt19937& random, const std::string& first) {
    static constexpr const char* kNumbers[] = {
        "0", "1", "77", "-1", "4294967295", "4294967296", "18446744073709551615"};
    std::string text;
    for (int line = 0; line < 4; ++line) {
        text += first;
        auto columns = random() % 20;
        // Of a processor with six qemu-ga 7.2 shows a seventh, of the line before.
        if (columns == 6) ++columns;
        for (; columns > 0; --columns) text += std::string(" ") + kNumbers[random() % std::size(kNumbers)];
        text += "\n";
    }
    return text;
}

TEST_F(OtherKernel, RandomLinesAreReadAsByQemu) {
    std::mt19937 random(5);
    for (int round = 0; round < 100; ++round) {
        write("stat", random_lines(random, "cpu3"));
        write("diskstats", random_lines(random, " 8 16 sdb"));
        expect_same("guest-get-cpustats");
        expect_same("guest-get-diskstats");
    }
}

class MemoryBlocks : public OtherKernel {
protected:
    void TearDown() override {
        const std::string memory = kMemory;
        shell("rm -rf " + memory + "/*");
    }
    static void put(const std::string& name, const std::string& text) {
        const fs::path file = fs::path(kMemory) / name;
        fs::create_directories(file.parent_path());
        std::ofstream(file) << text;
    }
};

TEST_F(MemoryBlocks, WithoutAStateAreOnlineForGood) {
    put("memory0/removable", "1\n");
    put("memory1/phys_index", "1\n");
    put("memory2/state", "online\n");
    put("memory3/state", "offline\n");
    put("memory3/removable", "0\n");
    put("power/control", "auto\n");
    expect_same("guest-get-memory-blocks");
}

TEST_F(MemoryBlocks, SizesMayHaveAPrefix) {
    for (const char* size : {"8000000\n", "0x8000000\n", "0X8000000\n", "80000000", "8000000 \n"}) {
        put("block_size_bytes", size);
        expect_same("guest-get-memory-block-info");
    }
}

}  // namespace
}  // namespace sallyport::test
