// guest-get-fsinfo.
#include <libmount.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/sysmacros.h>

#include <memory>
#include <set>
#include <string_view>
#include <vector>

#include "inspector/disk_address.hpp"
#include "inspector/files.hpp"
#include "inspector/queries.hpp"
#include "inspector/text.hpp"

namespace sallyport::inspector {

namespace {

using Filesystem = schema::GetFsinfoReply::Filesystem;
using Table = std::unique_ptr<libmnt_table, void (*)(libmnt_table*)>;

constexpr int kMostLayers = 16;  // of devices on devices

struct Mount {
    dev_t device = 0;
    std::string point;
    std::string type;
};

std::string or_empty(const char* text) {
    return text == nullptr ? "" : text;
}

// The mounts of block devices, only the first for each device: others show the same file system.
std::vector<Mount> block_mounts(libmnt_table* table) {
    std::vector<Mount> mounts;
    std::set<dev_t> taken;
    const std::unique_ptr<libmnt_iter, void (*)(libmnt_iter*)> each(mnt_new_iter(MNT_ITER_FORWARD),
                                                                    mnt_free_iter);
    libmnt_fs* entry = nullptr;
    while (mnt_table_next_fs(table, each.get(), &entry) == 0) {
        Mount mount{.device = mnt_fs_get_devno(entry),
                    .point = or_empty(mnt_fs_get_target(entry)),
                    .type = or_empty(mnt_fs_get_fstype(entry))};
        // Btrfs has device numbers of its own for each mount; its source is the device.
        struct stat source{};
        if (major(mount.device) == 0 && mount.type == "btrfs" &&
            ::stat(or_empty(mnt_fs_get_source(entry)).c_str(), &source) == 0 && S_ISBLK(source.st_mode))
            mount.device = source.st_rdev;
        if (major(mount.device) == 0 || !taken.insert(mount.device).second) continue;
        mounts.push_back(std::move(mount));
    }
    return mounts;
}

// The devices below a virtual one, each before those already found, in qemu-ga's order.
void add_addresses(const Udev& udev, const std::string& path, int layers,
                   std::vector<schema::GuestDiskAddress>& to) {
    if (!path.contains("/devices/virtual/block/")) {
        if (auto address = disk_address(udev, path)) to.insert(to.begin(), *std::move(address));
        return;
    }
    if (layers == 0) return;
    for (const std::string& name : names_in(path + "/slaves").value_or(std::vector<std::string>{}))
        if (const std::string below = real_path(path + "/slaves/" + name); !below.empty())
            add_addresses(udev, below, layers - 1, to);
}

void put_sizes(const std::string& point, Filesystem& to) {
    struct statvfs info{};
    if (::statvfs(point.c_str(), &info) != 0) return;
    const std::uint64_t used = info.f_blocks - info.f_bfree;
    to.set_used_bytes(used * info.f_frsize);
    to.set_total_bytes((used + info.f_bavail) * info.f_frsize);
    to.set_total_bytes_privileged(info.f_blocks * info.f_frsize);
}

// Without sizes if the file system did not answer recently.
void put(const Udev& udev, const HungDevices& hung, const Mount& mount, Filesystem& to) {
    const std::string number =
        std::to_string(major(mount.device)) + ":" + std::to_string(minor(mount.device));
    const std::string path = real_path("/sys/dev/block/" + number);
    to.set_name(path.empty() ? number : to_utf8(path.substr(path.rfind('/') + 1)));
    to.set_mountpoint(to_utf8(mount.point));
    to.set_type(to_utf8(mount.type));
    if (!hung.has(mount.device)) {
        hung.look_at(mount.device);
        put_sizes(mount.point, to);
        hung.look_at(0);
    }
    std::vector<schema::GuestDiskAddress> addresses;
    if (!path.empty()) add_addresses(udev, path, kMostLayers, addresses);
    for (schema::GuestDiskAddress& address : addresses) *to.add_disk() = std::move(address);
}

}  // namespace

Status get_fsinfo(const Sources& sources, schema::GetFsinfoReply& reply) {
    auto text = read_whole(sources.mounts);
    if (!text) return std::unexpected(text.error());
    const Table table(mnt_new_table(), mnt_unref_table);
    const std::unique_ptr<std::FILE, int (*)(std::FILE*)> stream(::fmemopen(text->data(), text->size(), "r"),
                                                                 std::fclose);
    if (!table || !stream) return system_error("fmemopen");
    if (mnt_table_parse_stream(table.get(), stream.get(), "/proc/self/mountinfo") != 0)
        return system_error("libmount");
    const Udev udev;
    const std::vector<Mount> mounts = block_mounts(table.get());
    for (auto mount = mounts.rbegin(); mount != mounts.rend(); ++mount)
        put(udev, sources.hung, *mount, *reply.add_filesystems());
    return {};
}

}  // namespace sallyport::inspector
