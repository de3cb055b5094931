// A clock and a hardware clock that a test plays: of whatever this process starts from then on, no call reaches the machine's own.
#pragma once

#include <seccomp.h>
#include <sys/types.h>

#include <atomic>
#include <cstdint>
#include <thread>

#include "base/unique_fd.hpp"

namespace sallyport::test {

class PlayedClocks {
public:
    PlayedClocks();
    ~PlayedClocks();
    PlayedClocks(const PlayedClocks&) = delete;
    PlayedClocks& operator=(const PlayedClocks&) = delete;

    /// All as after the start; the hardware clock says what the machine's clock says.
    void begin();
    std::atomic<std::int64_t> hardware_s = 0;  // the next second begins at each third look
    std::atomic<int> set_error = 0;
    std::atomic<int> read_error = 0;
    std::atomic<int> write_error = 0;
    std::atomic<int> reads = 0;
    std::atomic<int> writes = 0;
    std::atomic<int> sets = 0;
    std::atomic<std::int64_t> set_to_ns = 0;
    std::atomic<std::int64_t> written_s = 0;

private:
    void run();
    int play(const seccomp_notif& notice);
    UniqueFd notices_;
    std::atomic<bool> stops_ = false;
    std::thread thread_;
};

}  // namespace sallyport::test
