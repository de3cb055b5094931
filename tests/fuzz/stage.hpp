// The broker's loop as it is, between peers that the fuzzer plays and files that exist in memory only.
#pragma once

#include <memory>
#include <optional>
#include <string>

#include "broker/serve/loop.hpp"
#include "tests/fuzz/expectations.hpp"
#include "tests/fuzz/peers.hpp"
#include "tests/fuzz/played_files.hpp"
#include "tests/fuzz/played_launcher.hpp"

namespace sallyport::fuzz {

class Stage {
public:
    struct Terms {
        bool has_hooks = false;     // the freeze rule names programs
        bool goes_on = false;       // the policy has that carried out which cannot be recorded
        bool has_programs = false;  // a rule lets the host start some
        bool has_settings =
            false;  // a rule lets it set the clock, blocks, and processors 1 to 4; another, processor 5 for a while
        std::int64_t while_s = 3600;
        bool has_work_hours =
            false;  // files below /work for an hour before and after the start; the load, five to seven hours later
        bool has_files_elsewhere =
            true;  // with work hours: below /elsewhere at any time, so that handles can be named then
        bool has_accounts = false;  // rules are about ann's keys and password, and about everybody's
        std::optional<std::int64_t> hours_shift;  // rules have hours: add_hours()
    };
    /// Starts the broker and its first worker.
    explicit Stage(Terms terms);
    ~Stage();
    Stage(const Stage&) = delete;
    Stage& operator=(const Stage&) = delete;

    /// A worker that lives, started if there is none.
    WorkerView& worker();
    /// The worker sends the request, or any bytes.
    void send(const ipc::Request& request);
    void send_bytes(std::string_view bytes);
    void greet();
    /// A worker that is muted does not read what it is told.
    void mute() { is_muted_ = view_->is_greeted(); }
    /// The worker ends by itself: closes its socket, or dies so that the nursery's report comes first.
    void end_worker(bool closes_first, int exit_status = 0);
    /// The worker closes its socket, and does not end.
    void let_worker_linger();
    [[nodiscard]] bool is_worker_to_be_killed() const { return nursery_.is_told_to_kill; }
    /// The nursery says this, or is gone.
    void say_as_nursery(const ipc::NurseryReply& report);
    void lose_nursery();
    /// What waits for a moment happens: a successor starts, a query is too old.
    void pass_time(std::int64_t ns = 5 * kNsPerSecond);
    static constexpr std::int64_t kNsPerSecond = 1'000'000'000;
    /// The log was renamed, and the broker is told (SIGHUP).
    void send_signal(int number);
    /// The service manager tells the broker to stop.
    void stop();
    /// What the broker ended with, if it has.
    [[nodiscard]] std::optional<int> exit_status() const { return loop_->exit_status; }
    [[nodiscard]] bool has_programs() const { return !launcher.templates.empty(); }
    [[nodiscard]] bool has_settings() const { return !launcher.rules.empty(); }
    [[nodiscard]] bool has_accounts() const { return !launcher.accounts.empty(); }
    [[nodiscard]] bool has_hours() const { return has_hours_; }
    /// Lets the broker hear what its peers have said.
    void settle();
    /// The part of the arena's data that the worker fills.
    void fill_arena(std::string_view bytes);
    [[nodiscard]] bool is_over() const { return loop_->exit_status.has_value() || loop_->leaving; }

    /// Everybody who has still something to say says it. THE PROMISES: every request is ended, nothing is frozen, the next
    /// worker is served, and the log has each line once.
    void finish();

    PlayedGuard guard;
    PlayedLauncher launcher;
    PlayedInspector inspector;
    PlayedRecorder recorder;
    PlayedFiles files;

private:
    void turn();
    void hear_all();
    void hear_peers();
    void check_state();
    void bring_peers_to_rest();
    void end_requests();

    policy::Policy policy_;
    PlayedNursery nursery_;
    Peer signals_;
    UniqueFd host_;
    UniqueFd mark_;
    std::unique_ptr<broker::Service> service_;
    std::unique_ptr<broker::Loop> loop_;
    std::optional<WorkerView> view_;
    std::optional<ipc::Arena> arena_;  // as the worker has it
    Book book_;
    bool is_muted_ = false;
    bool has_hours_ = false;
};

/// Open descriptors of this process.
std::size_t count_descriptors();

}  // namespace sallyport::fuzz
