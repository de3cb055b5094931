// What the host is told when a request fails.
// Runs in:  worker
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace sallyport::worker {

enum class ErrorClass : std::uint8_t { kGeneric, kCommandNotFound };

struct HostError {
    ErrorClass error_class = ErrorClass::kGeneric;
    std::string desc;
};

inline HostError generic_error(std::string desc) {
    return {.error_class = ErrorClass::kGeneric, .desc = std::move(desc)};
}

inline HostError command_not_found(std::string_view command) {
    return {.error_class = ErrorClass::kCommandNotFound,
            .desc = "The command " + std::string(command) + " has not been found"};
}

inline HostError command_disabled(std::string_view command) {
    return {.error_class = ErrorClass::kCommandNotFound,
            .desc = "Command " + std::string(command) + " has been disabled: the command is not allowed"};
}

}  // namespace sallyport::worker
