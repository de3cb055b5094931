// What udev knows about a device.
// Runs in:  inspector
#pragma once

#include <libudev.h>

#include <memory>
#include <string>

namespace sallyport::inspector {

class Udev {
public:
    Udev() : context_(udev_new(), udev_unref) {}

    struct Device {
        std::string node;    // /dev/vda1
        std::string serial;  // ID_SERIAL
        std::string alias;   // DM_NAME
    };
    /// For a device in sysfs; members are empty if unknown.
    [[nodiscard]] Device device(const std::string& real_path) const;

private:
    std::unique_ptr<udev, udev* (*)(udev*)> context_;
};

}  // namespace sallyport::inspector
