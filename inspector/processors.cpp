// guest-get-load, guest-get-cpustats, guest-get-vcpus.
#include <unistd.h>

#include <array>
#include <cerrno>

#include "inspector/files.hpp"
#include "inspector/queries.hpp"
#include "inspector/text.hpp"

namespace sallyport::inspector {

namespace {

using Cpu = schema::GetCpustatsReply::Cpu;

// In the order of the columns of /proc/stat. A kernel may have fewer.
constexpr std::array kColumns{
    &Cpu::set_user, &Cpu::set_nice,    &Cpu::set_system, &Cpu::set_idle,  &Cpu::set_iowait,
    &Cpu::set_irq,  &Cpu::set_softirq, &Cpu::set_steal,  &Cpu::set_guest, &Cpu::set_guestnice,
};
constexpr std::size_t kFewestColumns = 4;
// The kernel reports in this unit, whatever its internal clock.
constexpr std::uint64_t kTicksPerSecond = 100;

double to_double(std::string_view text) {
    double number = 0;
    std::from_chars(text.begin(), text.end(), number);
    return number;
}

}  // namespace

Status get_load(const Sources& sources, schema::GetLoadReply& reply) {
    const auto text = read_whole(sources.load);
    if (!text) return std::unexpected(text.error());
    const auto words = words_of(*text);
    if (words.size() < 3) return std::unexpected(Error{Errc::kSystem, "/proc/loadavg", ENOENT});
    reply.set_load1m(to_double(words[0]));
    reply.set_load5m(to_double(words[1]));
    reply.set_load15m(to_double(words[2]));
    return {};
}

Status get_cpustats(const Sources& sources, schema::GetCpustatsReply& reply) {
    const auto text = read_whole(sources.cpu_stat);
    if (!text) return std::unexpected(text.error());
    for (const std::string_view line : lines_of(*text)) {
        const auto words = words_of(line);
        const auto number = words.empty() ? std::nullopt : number_after(words[0], "cpu");
        if (!number) continue;
        const auto ticks = counters_in(std::span(words).subspan(1));
        // Like qemu-ga: the following lines are not read either.
        if (ticks.size() < kFewestColumns) break;
        Cpu& cpu = *reply.add_cpus();
        cpu.set_type(Cpu::LINUX);
        cpu.set_cpu(*number);
        for (std::size_t at = 0; at < kColumns.size() && at < ticks.size(); ++at)
            (cpu.*kColumns[at])(ticks[at] * 1000 / kTicksPerSecond);
    }
    return {};
}

Status get_vcpus(const Sources&, schema::GetVcpusReply& reply) {
    const std::string directory = "/sys/devices/system/cpu";
    const auto names = names_in(directory);
    if (!names) return std::unexpected(names.error());
    for (const std::string& name : *names) {
        const auto number = number_after(name, "cpu");
        if (!number) continue;
        std::string file = directory;
        file += "/" + name + "/online";
        const auto state = read_file(file);
        if (!state && state.error().sys_errno != ENOENT) return std::unexpected(state.error());
        auto& vcpu = *reply.add_vcpus();
        vcpu.set_logical_id(static_cast<std::int64_t>(*number));
        vcpu.set_online(!state || !state->starts_with('0'));
        vcpu.set_can_offline(state.has_value());
    }
    return {};
}

}  // namespace sallyport::inspector
