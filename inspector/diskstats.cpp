// guest-get-diskstats.
#include <array>

#include "inspector/files.hpp"
#include "inspector/queries.hpp"
#include "inspector/text.hpp"

namespace sallyport::inspector {

namespace {

using Stats = schema::GetDiskstatsReply::Stats;
struct Column {
    void (Stats::*set)(std::uint64_t);
    bool is_short = false;  // 32 bits wide
};

// The columns after major, minor and name. Columns that later kernels added are there completely or not at all.
constexpr std::array kColumns{
    Column{&Stats::set_read_ios},
    Column{&Stats::set_read_merges},
    Column{&Stats::set_read_sectors},
    Column{&Stats::set_read_ticks},
    Column{&Stats::set_write_ios},
    Column{&Stats::set_write_merges},
    Column{&Stats::set_write_sectors},
    Column{&Stats::set_write_ticks, true},
    Column{&Stats::set_ios_pgr, true},
    Column{&Stats::set_total_ticks, true},
    Column{&Stats::set_weight_ticks, true},
    Column{&Stats::set_discard_ios},
    Column{&Stats::set_discard_merges},
    Column{&Stats::set_discard_sectors},
    Column{&Stats::set_discard_ticks, true},
    Column{&Stats::set_flush_ios},
    Column{&Stats::set_flush_ticks, true},
};
// For old kernels.
constexpr std::array kPartitionColumns{Column{&Stats::set_read_ios}, Column{&Stats::set_read_sectors},
                                       Column{&Stats::set_write_ios}, Column{&Stats::set_write_sectors}};
constexpr std::size_t kName = 2;

std::span<const Column> columns_of(std::size_t counters) {
    const std::span all(kColumns);
    if (counters >= 17) return all;
    if (counters >= 15) return all.first(15);
    if (counters >= 11) return all.first(11);
    if (counters == 4) return kPartitionColumns;
    return {};
}

std::uint32_t low_half(std::uint64_t number) {
    return static_cast<std::uint32_t>(number);
}

}  // namespace

Status get_diskstats(const Sources& sources, schema::GetDiskstatsReply& reply) {
    const auto text = read_whole(sources.diskstats);
    if (!text) return std::unexpected(text.error());
    for (const std::string_view line : lines_of(*text)) {
        const auto words = words_of(line);
        const std::span all(words);
        if (words.size() <= kName + kPartitionColumns.size()) continue;
        const auto device = counters_in(all.first(kName));
        const auto counters = counters_in(all.subspan(kName + 1));
        if (device.size() < kName || counters.size() < kPartitionColumns.size()) continue;
        auto& disk = *reply.add_disks();
        disk.set_major(low_half(device[0]));
        disk.set_minor(low_half(device[1]));
        disk.set_name(to_utf8(words[kName]));
        Stats& stats = *disk.mutable_stats();
        std::size_t at = 0;
        for (const auto& [set, is_short] : columns_of(counters.size())) {
            (stats.*set)(is_short ? low_half(counters[at]) : counters[at]);
            ++at;
        }
    }
    return {};
}

}  // namespace sallyport::inspector
