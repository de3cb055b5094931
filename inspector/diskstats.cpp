// guest-get-diskstats.
#include <array>

#include "inspector/files.hpp"
#include "inspector/queries.hpp"
#include "inspector/text.hpp"

namespace sallyport::inspector {

namespace {

using Stats = schema::GetDiskstatsReply::Stats;
using Setter = void (Stats::*)(std::uint64_t);

// The columns after major, minor and name. What came later is complete or not there.
constexpr std::array<Setter, 17> kColumns{
    &Stats::set_read_ios,       &Stats::set_read_merges,     &Stats::set_read_sectors,
    &Stats::set_read_ticks,     &Stats::set_write_ios,       &Stats::set_write_merges,
    &Stats::set_write_sectors,  &Stats::set_write_ticks,     &Stats::set_ios_pgr,
    &Stats::set_total_ticks,    &Stats::set_weight_ticks,    &Stats::set_discard_ios,
    &Stats::set_discard_merges, &Stats::set_discard_sectors, &Stats::set_discard_ticks,
    &Stats::set_flush_ios,      &Stats::set_flush_ticks,
};
constexpr std::array<Setter, 4> kPartitionColumns{&Stats::set_read_ios, &Stats::set_read_sectors,
                                                  &Stats::set_write_ios, &Stats::set_write_sectors};
constexpr std::size_t kFirst = 3;

std::span<const Setter> columns_of(std::size_t words) {
    const std::span all(kColumns);
    if (words >= 20) return all;
    if (words >= 18) return all.first(15);
    if (words >= 14) return all.first(11);
    if (words == 7) return kPartitionColumns;
    return {};
}

}  // namespace

Status get_diskstats(const Sources& sources, schema::GetDiskstatsReply& reply) {
    const auto text = read_whole(sources.diskstats);
    if (!text) return std::unexpected(text.error());
    for (const std::string_view line : lines_of(*text)) {
        const auto words = words_of(line);
        const auto columns = columns_of(words.size());
        if (columns.empty()) continue;
        auto& disk = *reply.add_disks();
        disk.set_major(to_number<std::uint64_t>(words[0]).value_or(0));
        disk.set_minor(to_number<std::uint64_t>(words[1]).value_or(0));
        disk.set_name(to_utf8(words[2]));
        Stats& stats = *disk.mutable_stats();
        for (std::size_t at = 0; at < columns.size(); ++at)
            (stats.*columns[at])(to_number<std::uint64_t>(words[kFirst + at]).value_or(0));
    }
    return {};
}

}  // namespace sallyport::inspector
