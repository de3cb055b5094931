// guest-get-disks.
#include <sys/stat.h>

#include <algorithm>
#include <ranges>

#include "inspector/disk_address.hpp"
#include "inspector/files.hpp"
#include "inspector/queries.hpp"
#include "inspector/text.hpp"

namespace sallyport::inspector {

namespace {

using Disk = schema::GetDisksReply::Disk;

const std::string kBlock = "/sys/block/";

std::vector<std::string> names_or_none(const std::string& path) {
    return names_in(path).value_or(std::vector<std::string>{});
}

// vda1 of vda, nvme0n1p1 of nvme0n1.
bool is_partition(std::string_view name, std::string_view disk) {
    if (!name.starts_with(disk)) return false;
    name.remove_prefix(disk.size());
    if (name.starts_with('p')) name.remove_prefix(1);
    return to_number<unsigned>(name).has_value();
}

// A disk about which something cannot be found out is left out, like in qemu-ga.
void add_disk(const Udev& udev, const std::string& name, std::vector<Disk>& disks) {
    const auto size = read_file(kBlock + name + "/size");
    if (!size || *size == "0\n") return;
    const std::string path = real_path(kBlock + name);
    const Udev::Device device = udev.device(path);
    if (device.node.empty()) return;
    Disk disk;
    disk.set_name(device.node);
    if (!device.alias.empty()) disk.set_alias(device.alias);
    for (const std::string& below : names_or_none(path + "/slaves")) {
        const Udev::Device slave = udev.device(real_path(path + "/slaves/" + below));
        if (!slave.node.empty()) disk.add_dependencies(slave.node);
    }
    if (!path.starts_with("/sys/devices/virtual"))
        if (const auto address = disk_address(udev, path)) *disk.mutable_address() = *address;
    disks.push_back(std::move(disk));
    for (const std::string& below : names_or_none(path)) {
        const Udev::Device part =
            is_partition(below, name) ? udev.device(path + "/" + below) : Udev::Device{};
        if (part.node.empty()) continue;
        Disk& to = disks.emplace_back();
        to.set_name(part.node);
        to.set_partition(true);
        to.add_dependencies(device.node);
    }
}

}  // namespace

Status get_disks(const Sources&, schema::GetDisksReply& reply) {
    const auto names = names_in(kBlock);
    if (!names) return std::unexpected(names.error());
    const Udev udev;
    std::vector<Disk> disks;
    for (const std::string& name : *names) {
        struct stat info{};
        if (::lstat((kBlock + name).c_str(), &info) == 0 && S_ISLNK(info.st_mode))
            add_disk(udev, name, disks);
    }
    for (Disk& disk : disks | std::views::reverse) *reply.add_disks() = std::move(disk);
    return {};
}

}  // namespace sallyport::inspector
