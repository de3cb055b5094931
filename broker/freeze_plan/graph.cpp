// Runs in:  a child of the guard without capabilities; sallyport-policy freeze-plan
// Input:    files of /sys, written by the kernel; the path behind a loop device is chosen by root
#include "broker/freeze_plan/graph.hpp"

#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

#include <algorithm>
#include <array>
#include <memory>

namespace sallyport::freeze_plan {

namespace {

constexpr std::size_t kMaxText = std::size_t{16} << 20U;
constexpr std::size_t kMaxDevices = 256;

UniqueFd open_directory(FdRef at, const std::string& name) {
    return UniqueFd(::openat(at.get(), name.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
}

// The text of a file without the line end; empty if there is no file.
std::string text_of(FdRef at, const std::string& name) {
    const UniqueFd file(::openat(at.get(), name.c_str(), O_RDONLY | O_CLOEXEC));
    auto text = file.is_open() ? read_text(file) : std::string();
    if (!text) return {};
    if (text->ends_with('\n')) text->pop_back();
    return *std::move(text);
}

std::vector<std::string> names_in(FdRef at, const std::string& name) {
    std::vector<std::string> names;
    UniqueFd directory = open_directory(at, name);
    const std::unique_ptr<DIR, int (*)(DIR*)> entries(
        directory.is_open() ? ::fdopendir(directory.get()) : nullptr,
        [](DIR* open) { return open == nullptr ? 0 : ::closedir(open); });
    if (!entries) return names;
    (void)directory.release();
    while (const dirent* entry = ::readdir(entries.get()))
        if (entry->d_name[0] != '.') names.emplace_back(entry->d_name);
    return names;
}

std::string number_of(Device device) {
    return std::to_string(device.major) + ":" + std::to_string(device.minor);
}

void add(std::vector<std::string>& devices, std::string number) {
    if (!number.empty() && devices.size() < kMaxDevices &&
        std::ranges::find(devices, number) == devices.end())
        devices.push_back(std::move(number));
}

// A Btrfs has no device number of its own. Its mount names one of its devices, by a path in /dev.
void add_btrfs(FdRef sys, const std::string& source, std::vector<std::string>& devices) {
    const UniqueFd node(::open(source.c_str(), O_PATH | O_CLOEXEC));
    struct stat info{};
    if (!node.is_open() || ::fstat(node.get(), &info) != 0 || !S_ISBLK(info.st_mode)) return;
    const std::string first = number_of({::major(info.st_rdev), ::minor(info.st_rdev)});
    add(devices, first);
    for (const std::string& name : names_in(sys, "fs/btrfs")) {
        const std::string folder = "fs/btrfs/" + name + "/devices/";
        std::vector<std::string> members;
        for (const std::string& member : names_in(sys, folder))
            members.push_back(text_of(sys, folder + member + "/dev"));
        if (std::ranges::find(members, first) == members.end()) continue;
        for (std::string& member : members) add(devices, std::move(member));
    }
}

}  // namespace

Result<std::string> read_text(FdRef file) {
    std::string text;
    std::array<char, 16384> part{};
    for (;;) {
        const ssize_t got = ::pread(file.get(), part.data(), part.size(), static_cast<off_t>(text.size()));
        if (got < 0) return system_error("read");
        if (got == 0) return text;
        text.append(part.data(), static_cast<std::size_t>(got));
        if (text.size() > kMaxText) return failure(Errc::kLimit, "a file of the kernel's is too long");
    }
}

Result<BlockGraph> BlockGraph::open() {
    BlockGraph graph;
    graph.sys_ = UniqueFd(::open("/sys", O_PATH | O_DIRECTORY | O_CLOEXEC));
    if (!graph.sys_.is_open()) return system_error("/sys");
    return graph;
}

std::vector<std::string> BlockGraph::backing_files(const Mount& mount) const {
    std::vector<std::string> devices;
    if (mount.device.major != 0)
        add(devices, number_of(mount.device));
    else
        add_btrfs(sys_, mount.source, devices);
    std::vector<std::string> files;
    for (std::size_t at = 0; at < devices.size(); ++at) {
        const UniqueFd device = open_directory(sys_, "dev/block/" + devices[at]);
        if (!device.is_open()) continue;
        if (std::string file = text_of(device, "loop/backing_file"); !file.empty())
            files.push_back(std::move(file));
        if (!text_of(device, "partition").empty()) add(devices, text_of(device, "../dev"));
        for (const std::string& name : names_in(device, "slaves"))
            add(devices, text_of(device, "slaves/" + name + "/dev"));
    }
    return files;
}

}  // namespace sallyport::freeze_plan
