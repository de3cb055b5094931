#include "inspector/disk_address.hpp"

#include <algorithm>
#include <array>
#include <cstdio>
#include <span>

#include "inspector/files.hpp"
#include "inspector/text.hpp"

namespace sallyport::inspector {

namespace {

using Address = schema::GuestDiskAddress;

constexpr std::string_view kPciRoot = "/devices/pci";
constexpr std::string_view kCcwRoot = "/devices/css";

/// Channel, target and unit of a SCSI device: /targetH:C:T/H:C:T:L.
struct Target {
    unsigned channel = 0;
    unsigned target = 0;
    unsigned unit = 0;
};

/// Where a driver puts the numbers of a disk.
enum class Numbers : std::uint8_t { kNone, kScsi, kHostIsUnit, kHostIsBus, kVirtio };

struct Driver {
    std::string_view name;
    Address::BusType type;
    Numbers numbers;
};

constexpr std::array kDrivers{
    Driver{"virtio-pci", Address::VIRTIO, Numbers::kVirtio},
    Driver{"ahci", Address::SATA, Numbers::kHostIsUnit},
    Driver{"ata_piix", Address::IDE, Numbers::kHostIsBus},
    Driver{"sym53c8xx", Address::SCSI, Numbers::kScsi},
    Driver{"nvme", Address::NVME, Numbers::kNone},
    Driver{"xhci_hcd", Address::USB, Numbers::kNone},
    Driver{"ehci-pci", Address::USB, Numbers::kNone},
};

std::optional<Target> target_in(const std::string& path) {
    const std::size_t at = path.find("/target");
    Target found;
    if (at == path.npos || std::sscanf(path.c_str() + at, "/target%*u:%*u:%*u/%*u:%u:%u:%u", &found.channel,
                                       &found.target, &found.unit) != 3)
        return std::nullopt;
    return found;
}

// The index of this disk's host among those of its controller: ata3 of ata3 and ata4 is 0.
std::optional<unsigned> host_index(const std::string& path, const SysfsView& view) {
    for (const std::string_view prefix : {"ata", "host"}) {
        const std::size_t at = path.find("/" + std::string(prefix));
        unsigned host = 0;
        if (at == path.npos) continue;
        if (std::sscanf(path.c_str() + at + 1 + prefix.size(), "%u", &host) != 1) return std::nullopt;
        const auto hosts = view.hosts_in(path.substr(0, at), prefix);
        const auto found = std::ranges::find(hosts, host);
        if (found == hosts.end()) return std::nullopt;
        return static_cast<unsigned>(found - hosts.begin());
    }
    return std::nullopt;
}

bool put_numbers(const std::string& path, const SysfsView& view, const Driver& driver, Address& to) {
    const auto target = target_in(path);
    const auto host = host_index(path, view);
    switch (driver.numbers) {
        case Numbers::kNone:
            break;
        case Numbers::kScsi:
            if (!target) return false;
            to.set_unit(target->target);
            break;
        case Numbers::kVirtio:
            if (target) to.set_unit(target->unit);
            break;
        case Numbers::kHostIsUnit:
            if (!target || !host) return false;
            to.set_unit(*host);
            break;
        case Numbers::kHostIsBus:
            if (!target || !host) return false;
            to.set_bus(*host);
            to.set_unit(target->target);
            break;
    }
    const bool is_virtio_scsi = driver.numbers == Numbers::kVirtio && target;
    to.set_bus_type(is_virtio_scsi ? Address::SCSI : driver.type);
    return true;
}

// Reports the first PCI device on the way to the disk, below the root, whose driver we know.
bool put_pci(const std::string& path, const SysfsView& view, Address& to) {
    std::size_t end = path.find('/', path.find(kPciRoot) + kPciRoot.size());
    std::array<unsigned, 4> pci{};
    int length = 0;
    while (end != path.npos && std::sscanf(path.c_str() + end, "/%x:%x:%x.%x%n", &pci[0], &pci[1], &pci[2],
                                           &pci[3], &length) == 4) {
        end += static_cast<std::size_t>(length);
        const std::string name = view.driver_of(path.substr(0, end));
        const auto driver = std::ranges::find(kDrivers, name, &Driver::name);
        if (driver == kDrivers.end()) continue;
        Address::Pci& controller = *to.mutable_pci_controller();
        controller.set_domain(pci[0]);
        controller.set_bus(pci[1]);
        controller.set_slot(pci[2]);
        controller.set_function(pci[3]);
        return put_numbers(path, view, *driver, to);
    }
    return false;
}

bool put_virtio(const std::string& path, Address& to) {
    if (!path.contains("/virtio") || !path.contains("/block")) return false;
    const auto target = target_in(path);
    to.set_bus_type(target ? Address::SCSI : Address::VIRTIO);
    if (target) {
        to.set_bus(target->channel);
        to.set_target(target->target);
        to.set_unit(target->unit);
    }
    return true;
}

bool put_ccw(const std::string& path, Address& to) {
    std::array<unsigned, 4> ccw{};
    if (std::sscanf(path.c_str() + path.find(kCcwRoot) + kCcwRoot.size(), "%*x/%x.%x.%x/%*x.%*x.%x", &ccw[0],
                    &ccw[1], &ccw[2], &ccw[3]) != 4)
        return false;
    Address::Ccw& address = *to.mutable_ccw_address();
    address.set_cssid(ccw[0]);
    address.set_ssid(ccw[1]);
    address.set_subchno(ccw[2]);
    address.set_devno(ccw[3]);
    put_virtio(path, to);
    return true;
}

std::string driver_of(const std::string& pci_device) {
    const std::string driver = real_path(pci_device + "/driver");
    return driver.substr(driver.rfind('/') + 1);
}

std::vector<unsigned> hosts_in(const std::string& directory, std::string_view prefix) {
    std::vector<unsigned> hosts;
    for (const std::string& name : names_in(directory).value_or(std::vector<std::string>{}))
        if (const auto number = number_after(name, prefix)) hosts.push_back(static_cast<unsigned>(*number));
    std::ranges::sort(hosts);
    return hosts;
}

}  // namespace

bool put_hardware(const std::string& real_path, const SysfsView& view, Address& address) {
    if (real_path.contains(kPciRoot)) return put_pci(real_path, view, address);
    if (real_path.contains(kCcwRoot)) return put_ccw(real_path, address);
    return put_virtio(real_path, address);
}

std::optional<Address> disk_address(const Udev& udev, const std::string& real_path) {
    Address address;
    address.set_bus_type(Address::UNKNOWN);
    Address::Pci& unknown = *address.mutable_pci_controller();
    unknown.set_domain(-1);
    unknown.set_bus(-1);
    unknown.set_slot(-1);
    unknown.set_function(-1);
    const Udev::Device device = udev.device(real_path);
    if (!device.node.empty()) address.set_dev(device.node);
    if (!device.serial.empty()) address.set_serial(device.serial);
    const bool is_known = put_hardware(real_path, {.driver_of = driver_of, .hosts_in = hosts_in}, address);
    if (!is_known && device.node.empty() && device.serial.empty()) return std::nullopt;
    return address;
}

}  // namespace sallyport::inspector
