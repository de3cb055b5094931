// Which device of the host a disk of the guest is.
// Runs in:  inspector
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "inspector/udev.hpp"
#include "schema/inspect.pb.h"

namespace sallyport::inspector {

/// The address of a disk or partition that is not a virtual device, by its path in sysfs. Nothing if neither the path nor udev
/// says anything about it.
std::optional<schema::GuestDiskAddress> disk_address(const Udev& udev, const std::string& real_path);

/// Fills in what a path in sysfs alone says; `driver_of` returns the name of a PCI device's driver. False if it says nothing that
/// we know.
struct SysfsView {
    std::string (*driver_of)(const std::string& pci_device);
    std::vector<unsigned> (*hosts_in)(const std::string& directory, std::string_view prefix);  // ascending
};
bool put_hardware(const std::string& real_path, const SysfsView& view, schema::GuestDiskAddress& address);

}  // namespace sallyport::inspector
