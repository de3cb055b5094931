// guest-get-memory-blocks, guest-get-memory-block-info.
#include <cerrno>

#include "inspector/files.hpp"
#include "inspector/queries.hpp"
#include "inspector/text.hpp"

namespace sallyport::inspector {

namespace {

const std::string kDirectory = "/sys/devices/system/memory/";

std::optional<std::uint64_t> hexadecimal(std::string_view text) {
    if (text.starts_with("0x") || text.starts_with("0X")) text.remove_prefix(2);
    return to_number<std::uint64_t>(text, 16);
}

}  // namespace

Status get_memory_blocks(const Sources&, schema::GetMemoryBlocksReply& reply) {
    const auto names = names_in(kDirectory);
    if (!names && names.error().sys_errno == ENOENT) return {};
    if (!names) return std::unexpected(names.error());
    for (const std::string& name : *names) {
        const auto number = number_after(name, "memory");
        if (!number) continue;
        const std::string block = kDirectory + name;
        const auto state = read_file(block + "/state");
        const bool is_there = state || state.error().sys_errno == ENOENT;
        if (!is_there) return std::unexpected(state.error());
        auto& to = *reply.add_blocks();
        to.set_phys_index(*number);
        // A kernel without memory hot-unplug has no states.
        to.set_online(!state || state->starts_with("online"));
        const auto removable = state ? read_file(block + "/removable") : state;
        to.set_can_offline(removable && !removable->starts_with('0'));
    }
    if (reply.blocks().empty()) return failure(Errc::kInvalid, "no memory blocks");
    return {};
}

Status get_memory_block_info(const Sources&, schema::GetMemoryBlockInfoReply& reply) {
    const auto text = read_file(kDirectory + "block_size_bytes");
    if (!text) return std::unexpected(text.error());
    const auto lines = lines_of(*text);
    const auto words = words_of(lines.empty() ? "" : lines[0]);
    const auto size = words.empty() ? std::nullopt : hexadecimal(words[0]);
    if (!size) return std::unexpected(Error{Errc::kSystem, "block_size_bytes", EINVAL});
    reply.set_size(*size);
    return {};
}

}  // namespace sallyport::inspector
