#include "inspector/udev.hpp"

#include "inspector/text.hpp"

namespace sallyport::inspector {

namespace {

std::string text_or_empty(const char* text) {
    return text == nullptr ? "" : to_utf8(text);
}

}  // namespace

Udev::Device Udev::device(const std::string& real_path) const {
    const std::unique_ptr<udev_device, udev_device* (*)(udev_device*)> found(
        udev_device_new_from_syspath(context_.get(), real_path.c_str()), udev_device_unref);
    if (!found) return {};
    return {.node = text_or_empty(udev_device_get_devnode(found.get())),
            .serial = text_or_empty(udev_device_get_property_value(found.get(), "ID_SERIAL")),
            .alias = text_or_empty(udev_device_get_property_value(found.get(), "DM_NAME"))};
}

}  // namespace sallyport::inspector
