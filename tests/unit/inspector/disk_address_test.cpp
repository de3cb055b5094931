// Devices that this machine does not have, by the places that they have in sysfs elsewhere.
#include "inspector/disk_address.hpp"

#include <gtest/gtest.h>

namespace sallyport::inspector {
namespace {

using Address = schema::GuestDiskAddress;

std::string driver_by_slot(const std::string& device) {
    if (device.ends_with(":01.1")) return "ata_piix";
    if (device.ends_with(":1f.2")) return "ahci";
    if (device.ends_with(":05.0")) return "virtio-pci";
    if (device.ends_with(":06.0")) return "nvme";
    if (device.ends_with(":07.0")) return "sym53c8xx";
    if (device.ends_with(":08.0")) return "xhci_hcd";
    return device.ends_with(":1e.0") ? "pcieport" : "";
}

std::vector<unsigned> two_hosts(const std::string&, std::string_view) {
    return {3, 4};
}

struct Place {
    const char* name;
    const char* path;
    bool is_known;
    Address::BusType type;
    int bus;
    int target;
    int unit;
    int slot;
};

class Place_ : public testing::TestWithParam<Place> {};

TEST_P(Place_, SaysWhichDeviceItIs) {
    const Place& place = GetParam();
    Address address;
    address.set_bus_type(Address::UNKNOWN);
    address.mutable_pci_controller()->set_slot(-1);
    const SysfsView view{.driver_of = driver_by_slot, .hosts_in = two_hosts};
    EXPECT_EQ(put_hardware(place.path, view, address), place.is_known);
    EXPECT_EQ(address.bus_type(), place.type);
    EXPECT_EQ(address.bus(), place.bus);
    EXPECT_EQ(address.target(), place.target);
    EXPECT_EQ(address.unit(), place.unit);
    EXPECT_EQ(address.pci_controller().slot(), place.slot);
}

// clang-format off
const Place kPlaces[] = {
    {"VirtioBlk",     "/sys/devices/pci0000:00/0000:00:05.0/virtio2/block/vda",                                        true,  Address::VIRTIO,  0, 0, 0, 5},
    {"BehindABridge", "/sys/devices/pci0000:00/0000:00:1e.0/0000:01:05.0/virtio2/block/vda/vda1",                       true,  Address::VIRTIO,  0, 0, 0, 5},
    {"VirtioScsi",    "/sys/devices/pci0000:00/0000:00:05.0/virtio2/host2/target2:0:0/2:0:0:7/block/sda",               true,  Address::SCSI,    0, 0, 7, 5},
    {"Ahci",          "/sys/devices/pci0000:00/0000:00:1f.2/ata4/host3/target3:0:0/3:0:0:0/block/sda",                  true,  Address::SATA,    0, 0, 1, 0x1f},
    {"AtaPiix",       "/sys/devices/pci0000:00/0000:00:01.1/ata3/host2/target2:0:1/2:0:1:0/block/sda",                  true,  Address::IDE,     0, 0, 1, 1},
    {"Sym53c8xx",     "/sys/devices/pci0000:00/0000:00:07.0/host2/target2:0:6/2:0:6:0/block/sda",                       true,  Address::SCSI,    0, 0, 6, 7},
    {"Nvme",          "/sys/devices/pci0000:00/0000:00:06.0/nvme/nvme0/nvme0n1",                                        true,  Address::NVME,    0, 0, 0, 6},
    {"Usb",           "/sys/devices/pci0000:00/0000:00:08.0/usb1/1-1/1-1:1.0/host5/target5:0:0/5:0:0:0/block/sdb",      true,  Address::USB,     0, 0, 0, 8},
    {"UnknownDriver", "/sys/devices/pci0000:00/0000:00:09.0/thing/block/sda",                                           false, Address::UNKNOWN, 0, 0, 0, -1},
    {"NoPciAtAll",    "/sys/devices/platform/thing/block/sda",                                                          false, Address::UNKNOWN, 0, 0, 0, -1},
    {"VirtioMmio",    "/sys/devices/platform/virtio-mmio/virtio3/block/vda",                                            true,  Address::VIRTIO,  0, 0, 0, -1},
    {"VirtioMmioScsi", "/sys/devices/platform/x/virtio3/host0/target0:1:2/0:1:2:3/block/sda",                           true,  Address::SCSI,    1, 2, 3, -1},
    {"Ccw",           "/sys/devices/css0/0.0.0001/0.0.abcd/virtio1/block/vda",                                          true,  Address::VIRTIO,  0, 0, 0, -1},
};
// clang-format on
INSTANTIATE_TEST_SUITE_P(, Place_, testing::ValuesIn(kPlaces),
                         [](const auto& place) { return std::string(place.param.name); });

TEST(Ccw, AddressIsItsFourNumbers) {
    Address address;
    EXPECT_TRUE(put_hardware("/sys/devices/css0/0.1.0002/0.0.abcd/virtio1/block/vda",
                             {.driver_of = driver_by_slot, .hosts_in = two_hosts}, address));
    EXPECT_EQ(address.ccw_address().cssid(), 0);
    EXPECT_EQ(address.ccw_address().ssid(), 1);
    EXPECT_EQ(address.ccw_address().subchno(), 2);
    EXPECT_EQ(address.ccw_address().devno(), 0xabcd);
}

}  // namespace
}  // namespace sallyport::inspector
