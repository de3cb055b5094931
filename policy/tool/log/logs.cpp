#include "policy/tool/log/logs.hpp"

#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <utility>

#include "policy/tool/log/lines.hpp"

namespace sallyport::policy::log {

namespace {

constexpr std::size_t kMostExamples = 8;

/// False if the file cannot be read.
bool read_file(FdRef file, Place& place, const std::function<void(Lines::Got)>& take) {
    Lines lines(file);
    for (;;) {
        const Lines::Got got = lines.next(place.text);
        if (got == Lines::Got::kEnd) return true;
        if (got == Lines::Got::kFault) return false;
        place.line = lines.number();
        take(got);
    }
}

}  // namespace

// Pipes are a chain each, and come last.
Logs::Logs(std::vector<Source> sources) : sources_(std::move(sources)) {
    std::vector<Ends> ends;
    std::vector<std::size_t> files;
    std::vector<std::size_t> pipes;
    for (std::size_t at = 0; at < sources_.size(); ++at) {
        auto found = ends_of(sources_[at].file);
        (found ? files : pipes).push_back(at);
        if (found) ends.push_back(*std::move(found));
    }
    for (const auto& chain : order_of(ends).chains) {
        auto& own = chains_.emplace_back();
        for (const std::size_t at : chain) own.push_back(files[at]);
    }
    for (const std::size_t at : pipes) chains_.push_back({at});
    can_go_back_ = pipes.empty();
}

Reading Logs::read(const Visit& visit, const std::function<void(const Place&)>& damaged) {
    Reading reading;
    Place place;
    const auto note = [&](const char* what) {
        if (reading.examples.size() < kMostExamples)
            reading.examples.push_back(sources_[place.file].name + ":" + std::to_string(place.line) + ": " +
                                       what);
        if (damaged) damaged(place);
    };
    const auto take = [&](Lines::Got got) {
        Record record;
        ++reading.lines;
        if (got == Lines::Got::kTooLong) {
            ++reading.too_long;
            return note("longer than any line of the log");
        }
        if (read_record(place.text, record)) return visit(record, place);
        ++reading.damaged;
        note("damaged");
    };
    for (; place.chain < chains_.size(); ++place.chain)
        for (const std::size_t at : chains_[place.chain]) {
            place.file = at;
            if (can_go_back_) ::lseek(sources_[at].file.get(), 0, SEEK_SET);
            if (!read_file(sources_[at].file, place, take)) {
                reading.fault = sources_[at].name + ": " + std::strerror(errno);
                return reading;
            }
        }
    return reading;
}

}  // namespace sallyport::policy::log
