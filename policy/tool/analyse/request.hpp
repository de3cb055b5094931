// A request of a host, and what the guest would find when it carries the request out.
// Runs in:  the policy tool
//
// The broker learns owner, links and size of a file only from its opened inode. The analysis makes them up, as it does the time.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "policy/decide.hpp"

namespace sallyport::policy::analyse {

/// Which part of a request a rule for a command can be about.
enum class Subject : std::uint8_t {
    kPlain,
    kFiles,
    kShutdown,
    kExec,
    kFreeze,
    kInspect,
    kAccounts,
    kClock,
    kProcessors,
    kBlocks,
};

Subject subject_of(CommandId command);

/// What an open mode asks for. `may_create`: the file is made if it is not there.
struct OpenMode {
    std::string_view word;
    Access wanted;
    bool may_create;
};

/// The open modes that a policy tells apart; "a" is judged as "w".
std::span<const OpenMode> open_modes();

struct FileWish {
    std::string path = "/";
    std::size_t mode = 0;  // of open_modes()
    bool is_new = false;   // nothing has that name yet
    bool is_link = false;  // a symbolic link below `under` leads to the file
    FoundFile found;
};

struct ExecWish {
    std::string program = "/";
    std::vector<std::string> args;
    std::optional<std::vector<std::string>> env;  // NAME=value
    std::optional<std::uint64_t> input;           // its size
};

/// A file system to be frozen or trimmed; without a mount point the wish is about none.
struct MountWish {
    std::string point;
    std::string also;  // a second mount point of it
    std::string type = "ext4";
    std::string source = "/dev/vda1";
    bool is_local = true;
};

/// A thing in a reply, and a member of it; empty and 0: the reply as such.
struct ReplyWish {
    std::string name;
    int member = 0;  // of ipc::ReplyFilter
};

/// A user's password or keys. Of the password only its form is the policy's business.
struct AccountWish {
    std::string user = "root";
    bool crypted = false;
    std::vector<std::string> keys;  // lines
    std::size_t count = 0;          // so many keys in all, where that is more than `keys`
    bool reset = false;
};

/// What is to be set: the clock by a step, or without one to what the hardware clock says; these processors or blocks.
struct SetWish {
    std::optional<std::int64_t> step_ns;
    std::vector<std::uint64_t> numbers;  // of processors also negative ones
};

struct Request {
    CommandId command = CommandId::kPing;
    WallTime time = 1;
    FileWish file = {};
    Mode shutdown = Mode::kPowerdown;
    ExecWish exec = {};
    MountWish mount = {};
    ReplyWish reply = {};
    AccountWish account = {};
    SetWish set = {};
};

}  // namespace sallyport::policy::analyse
