// Protobuf by hand, so that frames can be made that no encoder of ours would write.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "schema/commands.hpp"

namespace sallyport::test::wire {

/// A number in the shortest form.
inline std::string varint(std::uint64_t value) {
    std::string bytes;
    for (; value >= 0x80U; value >>= 7U) bytes.push_back(static_cast<char>((value & 0x7fU) | 0x80U));
    bytes.push_back(static_cast<char>(value));
    return bytes;
}

/// The same number with a needless zero at its end.
inline std::string long_varint(std::uint64_t value) {
    std::string bytes = varint(value);
    bytes.back() = static_cast<char>(static_cast<unsigned char>(bytes.back()) | 0x80U);
    return bytes + std::string(1, '\0');
}

enum WireType : std::uint8_t {
    kVarint = 0,
    kFixed64 = 1,
    kBytes = 2,
    kGroup = 3,
    kEndGroup = 4,
    kFixed32 = 5
};

inline std::string tag(std::uint64_t field, WireType type) {
    return varint((field << 3U) | type);
}

inline std::string number(std::uint64_t field, std::uint64_t value) {
    return tag(field, kVarint) + varint(value);
}

inline std::string signed_number(std::uint64_t field, std::int64_t value) {
    return number(field, static_cast<std::uint64_t>(value));
}

inline std::string bytes(std::uint64_t field, std::string_view value) {
    return tag(field, kBytes) + varint(value.size()) + std::string(value);
}

// Requests as an honest worker writes them; see ipc/broker.proto and schema/guest_agent.proto for the
// numbers.

inline std::string seq(std::uint64_t value) {
    return number(1, value);
}

inline std::string hello() {
    return bytes(3, "");
}

inline std::string command_disabled(std::uint64_t value, std::uint64_t command) {
    return seq(value) + bytes(4, command == 0 ? "" : number(1, command));
}

inline std::string chunk_used(std::uint64_t value) {
    return seq(value) + bytes(5, "");
}

inline std::string extent(std::uint64_t offset, std::uint64_t size) {
    return (offset == 0 ? "" : number(1, offset)) + (size == 0 ? "" : number(2, size));
}

inline std::string chunk_filled(std::uint64_t value, std::uint64_t offset, std::uint64_t size) {
    return seq(value) + bytes(6, bytes(1, extent(offset, size)));
}

inline std::string reply_dropped(std::uint64_t dropped) {
    return bytes(7, dropped == 0 ? "" : number(1, dropped));
}

inline std::string file_open(std::uint64_t value, std::string_view path, std::string_view mode) {
    return seq(value) + bytes(16, (path.empty() ? "" : bytes(1, path)) + bytes(2, mode));
}

inline std::string file_close(std::uint64_t value, std::int64_t handle) {
    return seq(value) + bytes(17, signed_number(1, handle));
}

inline std::string file_read(std::uint64_t value, std::int64_t handle, std::int64_t count) {
    return seq(value) + bytes(18, signed_number(1, handle) + signed_number(2, count));
}

/// `bulk`: the fields of the bulk message.
inline std::string file_write(std::uint64_t value, std::int64_t handle, std::string_view bulk) {
    return seq(value) + bytes(2, bulk) + bytes(19, signed_number(1, handle));
}

inline std::string bulk(std::uint64_t total, std::uint64_t offset, std::uint64_t size) {
    return (total == 0 ? "" : number(1, total)) + bytes(2, extent(offset, size));
}

/// `whence`: the fields of GuestFileWhence.
inline std::string file_seek(std::uint64_t value, std::int64_t handle, std::int64_t offset,
                             std::string_view whence) {
    return seq(value) + bytes(20, signed_number(1, handle) + (offset == 0 ? "" : signed_number(2, offset)) +
                                      bytes(3, whence));
}

inline std::string file_flush(std::uint64_t value, std::int64_t handle) {
    return seq(value) + bytes(21, signed_number(1, handle));
}

/// A command that only looks. It has nothing beside its number: no `fields`.
inline std::string inspect(std::uint64_t value, CommandId command, std::string_view fields = "") {
    return seq(value) + bytes(64, number(1, static_cast<std::uint64_t>(command)) + std::string(fields));
}

}  // namespace sallyport::test::wire
