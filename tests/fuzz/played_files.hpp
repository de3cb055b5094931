// The files hand, played: clerks that keep their contract, over files that exist in memory only. All are below /work.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "ipc/arena.hpp"
#include "ipc/files.pb.h"
#include "tests/fuzz/peers.hpp"

namespace sallyport::fuzz {

/// `a` has 3 bytes, `b` two chunks and a half; the broker may hold these. `c` has a megabyte and a half, and stays with its clerk. Each
/// consists of one byte: content_of().
class PlayedFiles : public Peer {
public:
    PlayedFiles();
    /// Makes what all runs use.
    static void prepare();
    /// Starts clerks, buries those that are to be killed, and lets each clerk carry out what it was ordered. Whether anybody said something.
    bool act();
    /// The next order is not carried out, for this reason.
    void fail_next(int sys_errno) { fault_ = sys_errno; }
    bool is_stuck = false;        // no file answers
    bool outlives_kills = false;  // a clerk that is killed waits for a disk
    std::string told_place;       // where each file is said to lie, if not where it was looked for

private:
    struct Clerk {
        std::uint64_t number = 0;
        UniqueFd socket;
        std::optional<ipc::Arena> arena = {};
        std::string kept = {};  // the name of its file
        std::uint64_t position = 0;
        bool appends = false;
    };
    bool obey_parent();
    void start_clerk();
    void bury(std::uint64_t number);
    bool bury_killed();
    bool serve(Clerk& clerk);
    void carry_out(Clerk& clerk, const ipc::FileOrder& order, const UniqueFd& file);
    void open(Clerk& clerk, const ipc::OpenOrder& order);
    void move(Clerk& clerk, const ipc::FileOrder& order, const UniqueFd& file);
    void seek(Clerk& clerk, const ipc::SeekOrder& order);
    static void fail(const Clerk& clerk, int sys_errno);
    static void stop_writing(const Clerk& clerk, int sys_errno);
    static void tell(const Clerk& clerk, const ipc::FileReport& report, FdRef file = FdRef(-1));
    [[nodiscard]] std::string name_of(FdRef file) const;
    void make(const std::string& name);
    void cut_off(const std::string& name);

    std::map<std::string, UniqueFd> files_;
    std::vector<Clerk> clerks_;
    std::uint64_t last_ = 0;
    int fault_ = 0;
    std::vector<std::uint64_t> killed_;  // and not ended
    std::vector<UniqueFd> given_;
};

/// The byte of which the contents of a file consist, by the path that the host named.
std::byte content_of(const std::string& path);

}  // namespace sallyport::fuzz
