// The launcher and the supervisors of programs, played by the fuzzer: what a host starts runs in name only.
#pragma once

#include <deque>
#include <map>
#include <optional>
#include <string>
#include <string_view>

#include "ipc/launcher.pb.h"
#include "policy/accounts.hpp"
#include "policy/exec.hpp"
#include "policy/set.hpp"
#include "tests/fuzz/peers.hpp"

namespace sallyport::fuzz {

/// In each password that a worker sends.
inline constexpr std::string_view kSecret = "hush-hush";

/// The launcher carries out one order after the other, and says what becomes of programs. It keeps its contract, unless it was taken
/// over.
class PlayedLauncher : public Peer {
public:
    void take_orders();
    /// Whether somebody waits for it.
    [[nodiscard]] bool is_busy() const;
    void act(Draw& draw);
    /// Says something about programs that need not be true.
    void lie(Draw& draw);
    /// The next order, for whoever plays it himself.
    std::optional<ipc::LauncherRequest> next_order();
    policy::ExecTemplates templates;
    policy::AccountTemplates accounts;
    policy::SetRules rules;
    bool is_taken_over = false;

private:
    struct Program {
        int by = 0;  // template
        bool runs = false;
        bool has_ended = false;
        bool is_gone = false;
        bool is_wanted = true;  // what it wrote
        std::uint32_t out = 0;
        std::uint32_t err = 0;
    };
    using Programs = std::map<std::uint64_t, Program>;
    /// An order that is reported once, and by when it is to be.
    struct Told {
        std::uint64_t number = 0;
        std::optional<std::int64_t> due_ns;
    };
    static void note_told(Told& last, std::uint64_t number, std::int64_t most_ns);
    static void note_reported(Told& last, std::uint64_t number);
    std::optional<ipc::LauncherRequest> take_next();
    void carry_out(const ipc::LauncherRequest& order, Draw& draw);
    void change(const ipc::AccountOrder& order, Draw& draw);
    void set(const ipc::SetOrder& order, Draw& draw);
    void lie_about_account(Draw& draw);
    void lie_about_setting(Draw& draw);
    void take_part(const ipc::ExecPart& part);
    void start(const ipc::ExecOrder& order);
    void give(const ipc::ExecTake& take) const;
    void drop(std::uint64_t number);
    void say_gone(Programs::iterator at);
    void say_started(std::uint64_t number, int sys_errno) const;
    void end(std::uint64_t number, Program& program, Draw& draw) const;
    /// Something happens to a program.
    void go_on(Programs::iterator at, Draw& draw);
    [[nodiscard]] std::uint64_t draw_number(Draw& draw) const;

    std::deque<ipc::LauncherRequest> orders_;
    std::string order_;  // the parts of it that have come
    std::uint64_t last_ = 0;
    Programs programs_;
    Told account_;
    Told setting_;
};

/// The byte of which consists what a program writes.
std::byte written_by(std::int64_t number);

}  // namespace sallyport::fuzz
