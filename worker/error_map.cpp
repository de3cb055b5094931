#include "worker/error_map.hpp"

#include <cstring>

namespace sallyport::worker {

namespace {

constexpr std::string_view kDefaultMode = "r";
constexpr const char* kNotPermitted = "Operation not permitted";

std::string quoted(std::string_view text) {
    return "'" + std::string(text) + "'";
}

std::string number(std::int64_t value) {
    return std::to_string(value);
}

std::string_view mode_of(const schema::FileOpen& open) {
    return open.has_mode() ? std::string_view(open.mode()) : kDefaultMode;
}

// What failed, as the front part of the text.
std::string action(const ipc::Request& request) {
    switch (request.command_case()) {
        case ipc::Request::kFileOpen:
            return "failed to open file " + quoted(request.file_open().path()) +
                   " (mode: " + quoted(mode_of(request.file_open())) + ")";
        case ipc::Request::kFileClose:
            return "failed to close handle";
        case ipc::Request::kFileRead:
            return "failed to read file";
        case ipc::Request::kFileWrite:
            return "failed to write to file";
        case ipc::Request::kFileSeek:
            return "failed to seek file";
        case ipc::Request::kFileFlush:
            return "failed to flush file";
        case ipc::Request::kGetMemoryBlockInfo:
            return "Could not open '/sys/devices/system/memory/'";
        default:
            return "the command failed";
    }
}

std::int64_t handle_of(const ipc::Request& request) {
    switch (request.command_case()) {
        case ipc::Request::kFileClose:
            return request.file_close().handle();
        case ipc::Request::kFileRead:
            return request.file_read().handle();
        case ipc::Request::kFileWrite:
            return request.file_write().handle();
        case ipc::Request::kFileSeek:
            return request.file_seek().handle();
        case ipc::Request::kFileFlush:
            return request.file_flush().handle();
        default:
            return 0;
    }
}

std::int64_t count_of(const ipc::Request& request) {
    return request.has_file_read() ? request.file_read().count() : request.file_write().count();
}

// In the C locale, without a translation or a buffer of the library's. No errno, no text.
std::string system_text(int number_of_error) {
    if (number_of_error == 0) return {};
    const char* text = ::strerrordesc_np(number_of_error);
    return ": " + (text != nullptr ? std::string(text) : "Unknown error " + number(number_of_error));
}

std::string refusal_text(const ipc::Error& error) {
    const std::string denial = error.denial().empty() ? "" : " (denial " + error.denial() + ")";
    return std::string(": ") + kNotPermitted + denial;
}

}  // namespace

HostError host_error(const ipc::Error& error, const ipc::Request& request, std::string_view command) {
    switch (error.reason()) {
        case ipc::DISABLED:
            return command_disabled(command);
        case ipc::REFUSED:
            return generic_error(action(request) + refusal_text(error));
        case ipc::BAD_HANDLE:
            return generic_error("handle " + quoted(number(handle_of(request))) + " has not been found");
        case ipc::BAD_MODE:
            return generic_error("invalid file open mode " + quoted(mode_of(request.file_open())));
        case ipc::BAD_COUNT:
            return generic_error("value " + quoted(number(count_of(request))) +
                                 " is invalid for argument count");
        case ipc::BAD_WHENCE:
            return generic_error("invalid whence code " + number(request.file_seek().whence().code()));
        case ipc::STATE_NOT_SAVED:
            return generic_error("failed to commit persistent state to disk");
        case ipc::LATE:
            return generic_error("the guest did not answer in time");
        case ipc::CRASHED:
            return generic_error("the guest's state could not be read");
        case ipc::TOO_LARGE:
            return generic_error("the reply is too large");
        case ipc::NO_BLOCKS:
            return generic_error("guest reported zero memory blocks!");
        case ipc::SYSTEM:
        default:
            return generic_error(action(request) + system_text(error.sys_errno()));
    }
}

}  // namespace sallyport::worker
