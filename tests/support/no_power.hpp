// Where tests of shutdown and suspend run: the machine's own power cannot be reached, and the programs for it are ours.
#pragma once

#include <string>
#include <string_view>

#include "tests/support/scratch.hpp"

namespace sallyport::test {

/// Stand-ins for the programs that end or suspend a machine, in mounts of the test program's own. The first one made in
/// a program checks that it has pid and mount namespaces of its own (its test is started by unshare(1)) and ends the
/// program if not. Then /sys and /run are hidden, /usr/bin and /usr/sbin become copies that can be written, and every
/// known program that ends or suspends is taken away from them. What is then put there is a file of root.
class NoPower {
public:
    /// systemctl alone is there, and systemd is the init that runs. It notes its arguments and succeeds.
    NoPower();
    ~NoPower();
    NoPower(const NoPower&) = delete;
    NoPower& operator=(const NoPower&) = delete;

    /// Puts a shell script there: its text after the line that notes `NAME ARGUMENTS`. Replaces what was there.
    void put(const std::string& path, std::string_view body, mode_t mode = 0755) const;
    void take_away(const std::string& path) const;
    /// From now on systemd does not run.
    void without_systemd() const;
    /// Makes /sys/power/state with that text.
    void offer_states(std::string_view text) const;

    /// What was started, a line for each; of systemctl the arguments alone.
    [[nodiscard]] std::string calls() const;
    /// systemctl does not end until release().
    void block() const;
    void release() const;

private:
    Scratch scratch_;
};

}  // namespace sallyport::test
