// The two processes of the recorder: one writes, one keeps. What they know is in memory that they share.
// Runs in:  recorder
// Input:    the ring's lines and words, and frames without contents, of a broker that may have been taken over
//
// INVARIANT: a line that was put is written as long as one of the two lives: the keeper goes on when the writer is gone, and
// the writer starts another keeper. Both end when the broker is gone and everything is written.
#pragma once

#include <cstdint>

#include "broker/recorder/latest_time.hpp"
#include "broker/recorder/log.hpp"
#include "ipc/ring.hpp"

namespace sallyport::recorder {

/// When the broker is gone and the disk does not take its last lines: whether to wait until it does, or to let them go, so that the
/// next agent can start.
enum class LastLines : std::uint8_t { kWait, kLetGo };

class Recorder {
public:
    /// What it writes.
    struct Files {
        Log log;
        LatestTime time;
    };
    Recorder(UniqueFd broker, ipc::Ring ring, Files files, LastLines last_lines)
        : broker_(std::move(broker)),
          ring_(std::move(ring)),
          log_(std::move(files.log)),
          time_(std::move(files.time)),
          last_lines_(last_lines) {}

    /// Gives back the exit status.
    int run();

private:
    void write();
    void keep();
    void start_keeper();
    void become_writer();
    void end(int exit_status);
    /// Whether no disk may be touched. When the broker is gone the guard thaws, and a write waits for that at most.
    [[nodiscard]] bool is_held() const { return ring_.words().is_held != 0 && broker_.is_open(); }
    Result<bool> write_all();
    [[nodiscard]] bool is_worth_waiting(const Error& error) const;

    UniqueFd broker_;  // not open: it is gone
    ipc::Ring ring_;
    Log log_;
    LatestTime time_;
    LastLines last_lines_;
    UniqueFd peer_;  // the other process; not open: it is gone
    bool is_keeper_ = false;
    bool has_to_take_over_ = false;
    std::uint32_t reopens_ = 0;     // the last one that was obeyed
    std::int64_t dirty_since_ = 0;  // keeper: what is in the file is not on the disk since then; 0: it is
    bool is_over_ = false;
    int exit_status_ = 0;
};

}  // namespace sallyport::recorder
