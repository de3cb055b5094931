// The two processes of the recorder: the writer and the keeper. They share their state in memory.
// Runs in:  recorder
// Input:    lines and words of the ring, and empty frames, from a broker that may have been taken over
//
// INVARIANT: a line that was put is written as long as one of the two processes lives. If the writer is gone the keeper takes
// over, and the writer always starts another keeper. Both end when the broker is gone and everything is written.
#pragma once

#include <cstdint>

#include "broker/recorder/kept_budgets.hpp"
#include "broker/recorder/latest_time.hpp"
#include "broker/recorder/log.hpp"
#include "ipc/ring.hpp"

namespace sallyport::recorder {

/// What to do when the broker is gone and the disk does not take its last lines: wait until it does, or drop them so that the
/// next agent can start.
enum class LastLines : std::uint8_t { kWait, kLetGo };

class Recorder {
public:
    /// The files that it writes.
    struct Files {
        Log log;
        LatestTime time;
        KeptBudgets budgets;
    };
    Recorder(UniqueFd broker, ipc::Ring ring, Files files, LastLines last_lines)
        : broker_(std::move(broker)),
          ring_(std::move(ring)),
          log_(std::move(files.log)),
          time_(std::move(files.time)),
          budgets_(std::move(files.budgets)),
          last_lines_(last_lines) {}

    /// Returns the exit status.
    int run();

private:
    void write();
    void keep();
    void keep_state();
    void start_keeper();
    void become_writer();
    void close();
    void end(int exit_status);
    /// Whether no disk may be touched. If the broker is gone the guard thaws, so a write waits no longer than that.
    [[nodiscard]] bool is_held() const { return ring_.words().is_held != 0 && broker_.is_open(); }
    Result<bool> write_all();
    [[nodiscard]] bool is_worth_waiting(const Error& error) const;

    UniqueFd broker_;  // closed: the broker is gone
    ipc::Ring ring_;
    Log log_;
    LatestTime time_;
    KeptBudgets budgets_;
    LastLines last_lines_;
    UniqueFd peer_;  // the other process; closed: it is gone
    bool is_keeper_ = false;
    bool has_to_take_over_ = false;
    std::uint32_t reopens_ = 0;  // the last reopen that was done
    std::int64_t dirty_since_ =
        0;  // keeper: since when the file has data that is not on the disk; 0: it has none
    bool is_over_ = false;
    int exit_status_ = 0;
};

}  // namespace sallyport::recorder
