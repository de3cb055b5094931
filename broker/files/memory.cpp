// What deny rules named in earlier runs of the agent: the file sallyport.denied of the state directory.
// Runs in:  files, before lockdown()
#include "broker/files/memory.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>

#include "ipc/codec.hpp"
#include "ipc/files.pb.h"
#include "ipc/limits.hpp"

namespace sallyport::files {

namespace {

constexpr const char* kName = "sallyport.denied";
constexpr const char* kNewName = "sallyport.denied.new";

}  // namespace

bool was_once(const Earlier& earlier, const Id& id) {
    return id.made_ns != 0 && std::ranges::find(earlier, Made{id.inode, id.made_ns}) != earlier.end();
}

// THREAT: a local user replaces a thing of his whose name is denied, again and again. Only so many of his are kept.
void add_to(Earlier& earlier, const Id& id) {
    std::erase(earlier, Made{id.inode, id.made_ns});
    earlier.push_back({id.inode, id.made_ns});
    if (earlier.size() > kMaxEarlier) earlier.erase(earlier.begin());
}

Result<Memory> read_memory(FdRef state) {
    Memory memory;
    const UniqueFd file(::openat(state.get(), kName, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK));
    if (!file.is_open() && errno == ENOENT) return memory;
    struct stat info{};
    if (!file.is_open() || ::fstat(file.get(), &info) != 0) return system_error(kName);
    std::string bytes(static_cast<std::size_t>(info.st_size), '\0');
    if (bytes.size() > kMaxFilesSetup) return failure(Errc::kLimit, "sallyport.denied: too long");
    if (::pread(file.get(), bytes.data(), bytes.size(), 0) != static_cast<ssize_t>(bytes.size()))
        return system_error(kName);
    ipc::EarlierDenials kept;
    std::string scratch;
    if (!ipc::decode(bytes, kept, scratch))
        return failure(Errc::kInvalid,
                       "sallyport.denied: not what an agent wrote; without the file, what was renamed "
                       "while none ran is not known");
    for (const ipc::EarlierDenials::Path& path : kept.paths())
        for (const ipc::EarlierDenials::Made& one : path.made())
            memory[path.path()].push_back({one.inode(), one.ns()});
    return memory;
}

Status write_memory(FdRef state, const Memory& memory) {
    ipc::EarlierDenials kept;
    for (const auto& [name, earlier] : memory) {
        if (earlier.empty()) continue;
        ipc::EarlierDenials::Path& path = *kept.add_paths();
        path.set_path(name);
        for (const Made& one : earlier) {
            path.add_made()->set_inode(one.inode);
            path.mutable_made()->rbegin()->set_ns(one.ns);
        }
    }
    std::string bytes;
    ipc::encode(kept, bytes);
    // No later start would read it.
    if (bytes.size() > kMaxFilesSetup) {
        errno = EFBIG;
        return system_error("sallyport.denied cannot be written");
    }
    constexpr int kFlags = O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW;
    const UniqueFd file(::openat(state.get(), kNewName, kFlags, 0600));
    const bool is_done =
        file.is_open() &&
        ::write(file.get(), bytes.data(), bytes.size()) == static_cast<ssize_t>(bytes.size()) &&
        ::fsync(file.get()) == 0 && ::renameat(state.get(), kNewName, state.get(), kName) == 0;
    return is_done ? Status() : system_error("sallyport.denied cannot be written");
}

}  // namespace sallyport::files
