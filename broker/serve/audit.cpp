// Runs in:  broker; the only place where it logs once it serves
#include "broker/serve/audit.hpp"

#include <poll.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <chrono>
#include <cstdio>
#include <ctime>
#include <utility>

#include "ipc/channel.hpp"
#include "ipc/limits.hpp"
#include "schema/commands.hpp"

namespace sallyport::broker {

namespace {

constexpr std::size_t kDigestShown = 16;       // hexadecimal digits of the policy's digest in each line
constexpr std::size_t kArgumentsShown = 1024;  // in a shortened line
constexpr int kMostHeard = 16;                 // frames per turn from the recorder, which have no content

constexpr std::string_view verdict_word(Verdict verdict) {
    switch (verdict) {
        case Verdict::kAllowed:
            return "allow";
        case Verdict::kRefused:
            return "refuse";
        case Verdict::kFailed:
            return "fail";
        case Verdict::kViolation:
            return "violation";
        case Verdict::kDropped:
            return "drop";
        case Verdict::kNote:
            return "note";
    }
    check_failed();
}

std::string hexadecimal(std::string_view bytes) {
    constexpr std::string_view kDigits = "0123456789abcdef";
    std::string text;
    for (const char byte : bytes) {
        const auto value = static_cast<unsigned char>(byte);
        text.push_back(kDigits[value >> 4U]);
        text.push_back(kDigits[value & 15U]);
    }
    return text;
}

// By arithmetic: the C library's conversions would read the time zone from a file.
std::string wall_time() {
    timespec now{};
    ::clock_gettime(CLOCK_REALTIME, &now);
    const std::chrono::sys_seconds time{std::chrono::seconds{now.tv_sec}};
    const auto day = std::chrono::floor<std::chrono::days>(time);
    const std::chrono::year_month_day date(day);
    const std::chrono::hh_mm_ss clock(time - day);
    std::array<char, 80> text{};
    std::snprintf(text.data(), text.size(), "%04d-%02u-%02uT%02d:%02d:%02d.%06ldZ", int{date.year()},
                  unsigned{date.month()}, unsigned{date.day()}, static_cast<int>(clock.hours().count()),
                  static_cast<int>(clock.minutes().count()), static_cast<int>(clock.seconds().count()),
                  now.tv_nsec / 1000);
    return text.data();
}

void append_escaped(std::string& text, std::string_view value) {
    constexpr std::string_view kDigits = "0123456789abcdef";
    for (const char byte : value) {
        const auto code = static_cast<unsigned char>(byte);
        if (byte == '"' || byte == '\\') {
            text.push_back('\\');
            text.push_back(byte);
        } else if (code >= 0x20 && code < 0x7f) {
            text.push_back(byte);
        } else {
            text.append("\\u00");
            text.push_back(kDigits[code >> 4U]);
            text.push_back(kDigits[code & 15U]);
        }
    }
}

std::int64_t nanoseconds(clockid_t clock) {
    timespec now{};
    ::clock_gettime(clock, &now);
    return std::int64_t{now.tv_sec} * 1'000'000'000 + now.tv_nsec;
}

// Everything that has an effect gets a line: something was changed or read, or the agent started, ended or thawed.
Frequency frequency_of(const Record& record) {
    if (record.what == "connect-refused") return Frequency::kStranger;
    if (record.what == "connect" || record.what == "worker-ended") return Frequency::kConnection;
    if (record.what == "worker-alone") return Frequency::kRefusal;
    const bool has_effect = record.may_have_changed || record.bytes.value_or(0) != 0;
    if (record.verdict == Verdict::kNote || has_effect) return Frequency::kAlways;
    const auto command = find_command(record.what);
    if (record.verdict == Verdict::kFailed && !command) return Frequency::kAlways;
    if (record.verdict != Verdict::kAllowed) return Frequency::kRefusal;
    // A thaw that thawed something, and a status of a program that has ended, have arguments.
    const bool is_asked_often =
        command && (command_row(*command).floor == Floor::kYes || *command == CommandId::kExecStatus);
    const bool is_poll = is_asked_often && record.arguments.is_empty();
    return is_poll ? Frequency::kConnection : Frequency::kAlways;
}

// Commands that freeze, thaw or end the guest, start a program or set something, and whatever is no command.
bool is_privileged(std::string_view what) {
    const auto command = find_command(what);
    if (!command) return true;
    const Group group = command_row(*command).group;
    return group == Group::kFreeze || group == Group::kPower || group == Group::kHardware ||
           group == Group::kAccounts || *command == CommandId::kExec;
}

// THREAT: whoever reads our standard error stops reading, and we wait. A line is written there only if it is certain to be taken
// at once; the log has it in any case.
void put_on_stderr(std::string_view line) {
    pollfd wanted{.fd = STDERR_FILENO, .events = POLLOUT, .revents = 0};
    const timespec at_once{};
    if (::ppoll(&wanted, 1, &at_once, nullptr) != 1 || (wanted.revents & POLLOUT) == 0) return;
    [[maybe_unused]] const ssize_t put = ::write(STDERR_FILENO, line.data(), line.size());
}

}  // namespace

void JsonLine::key(std::string_view name) {
    if (!members_.empty()) members_.push_back(',');
    members_.push_back('"');
    members_.append(name);
    members_.append("\":");
}

void JsonLine::add(std::string_view name, std::string_view value) {
    key(name);
    members_.push_back('"');
    append_escaped(members_, value);
    members_.push_back('"');
}

void JsonLine::add(std::string_view name, std::int64_t value) {
    key(name);
    members_.append(std::to_string(value));
}

void JsonLine::add(std::string_view name, const JsonLine& object) {
    key(name);
    members_.append(object.text());
}

Result<Audit> Audit::open(ipc::Ring ring, UniqueFd recorder, const policy::Policy& policy) {
    Audit audit(std::move(ring), std::move(recorder));
    audit.terms_ = policy.audit;
    for (const policy::Rule& rule : policy.rules) audit.places_[rule.id] = rule.where;
    audit.policy_ = hexadecimal(policy.digest).substr(0, kDigestShown);
    std::array<char, 4> random{};
    if (::getrandom(random.data(), random.size(), 0) != static_cast<ssize_t>(random.size()))
        return system_error("getrandom");
    struct stat info{};
    audit.journal_is_file_ = ::fstat(STDERR_FILENO, &info) == 0 && S_ISREG(info.st_mode);
    audit.run_ = hexadecimal({random.data(), random.size()});
    return audit;
}

std::string Audit::compose(const Record& record, std::int64_t now_ns, Length length) const {
    JsonLine line;
    line.add("time", wall_time());
    line.add("boottime_us", now_ns / 1000);
    line.add("run", run_);
    line.add("seq", static_cast<std::int64_t>(sequence_));
    line.add("session", static_cast<std::int64_t>(record.session));
    line.add("verdict", verdict_word(record.verdict));
    line.add("what", record.what);
    if (length == Length::kShort)
        line.add("shortened", record.arguments.text().substr(0, kArgumentsShown));
    else if (!record.arguments.is_empty())
        line.add("arguments", record.arguments);
    if (!record.rule.empty()) line.add("rule", record.rule);
    const auto place = places_.find(record.rule);
    if (length == Length::kWhole && place != places_.end() && !place->second.empty())
        line.add("where", place->second);
    if (record.would != Would::kSame) {
        line.add("would", record.would == Would::kAllow ? "allow" : "refuse");
        line.add("would_rule", record.would_rule);
    }
    if (!record.reason.empty()) line.add("reason", record.reason);
    if (record.sys_errno != 0) line.add("errno", record.sys_errno);
    if (record.bytes) line.add("bytes", static_cast<std::int64_t>(*record.bytes));
    if (record.started_ns != 0) line.add("duration_us", (now_ns - record.started_ns) / 1000);
    if (lost_ != 0) line.add("lost", static_cast<std::int64_t>(lost_));
    if (!rates_.unwritten().empty()) {
        JsonLine unwritten;
        for (const auto& [what, count] : rates_.unwritten()) unwritten.add(what, count);
        line.add("unwritten", unwritten);
    }
    line.add("policy", policy_);
    return line.text();
}

bool Audit::goes_to_journal(const Record& record, const Places& places) const {
    if (terms_.journal_all) return true;
    if (record.verdict == Verdict::kAllowed || record.verdict == Verdict::kFailed)
        return is_privileged(record.what);
    return places.journal && record.verdict != Verdict::kDropped;
}

void Audit::put_in_journal(std::string line) {
    line.push_back('\n');
    if (!journal_waits_)
        put_on_stderr(line);
    else if (held_.size() < kMaxHeldLines)
        held_.push_back(std::move(line));
}

std::string Audit::write(const Record& record) {
    const std::int64_t now = boottime_ns();
    const Places places = rates_.judge(record.what, frequency_of(record), now);
    if (!places.log) return {};
    ++sequence_;
    std::string line = compose(record, now, Length::kWhole);
    if (line.size() > kMaxLogLine) line = compose(record, now, Length::kShort);
    note_progress();
    const bool is_put = (record.has_place || ring_.has_room()) && ring_.put(line);
    if (goes_to_journal(record, places))
        put_in_journal(line.size() < kMaxJournalLine ? line : compose(record, now, Length::kShort));
    if (!is_put) {
        ++lost_;
        return {};
    }
    lost_ = 0;
    rates_.clear();
    if (ring_.words().is_asleep.exchange(0) != 0) wake_recorder();
    return run_ + "-" + std::to_string(sequence_);
}

void Audit::write_counts() {
    if (lost_ == 0 && rates_.unwritten().empty()) return;
    write(Record{.what = "counted", .reason = "what was not written since the line before"});
}

void Audit::note_progress() {
    const std::uint64_t taken = ring_.words().taken;
    if (taken == seen_taken_ && taken != ring_.position() && !is_holding_) return;
    seen_taken_ = taken;
    progress_ns_ = nanoseconds(CLOCK_MONOTONIC);
}

bool Audit::is_recording() {
    note_progress();
    const bool is_stuck = nanoseconds(CLOCK_MONOTONIC) - progress_ns_ > kLogPatienceNs;
    const bool is_waiting = ring_.words().is_waiting != 0;
    return terms_.goes_on || (!is_stuck && !is_waiting && ring_.has_room());
}

// The frame only wakes the recorder. If there is no room for it, others are already waiting.
void Audit::wake_recorder() {
    [[maybe_unused]] const Status woken = ipc::send(recorder_, "w", ipc::WhenFull::kFail);
}

void Audit::hold() {
    is_holding_ = true;
    journal_waits_ = true;
    ring_.words().is_held = 1;
}

void Audit::release_log() {
    note_progress();
    if (!std::exchange(is_holding_, false)) return;
    ring_.words().is_held = 0;
    wake_recorder();
}

void Audit::release_journal() {
    journal_waits_ = false;
    for (const std::string& line : std::exchange(held_, {})) put_on_stderr(line);
}

void Audit::release() {
    release_log();
    release_journal();
}

void Audit::go_on() {
    release_log();
    if (!journal_is_file_) release_journal();
}

void Audit::want_sync() {
    ring_.words().sync_wanted = ring_.position();
    wake_recorder();
}

bool Audit::is_synced() const {
    return ring_.words().synced >= ring_.words().sync_wanted;
}

void Audit::reopen() {
    ++ring_.words().reopens;
    wake_recorder();
}

int Audit::keep_time(policy::WallTime now) {
    if (kept_time_ != 0 && now < kept_time_ + kKeepTimeEvery) return 0;
    kept_time_ = now;
    const int fault = ring_.words().time_fault.exchange(0);
    ring_.words().latest_time = now;
    wake_recorder();
    return fault;
}

void Audit::keep_due(std::size_t bucket, std::int64_t due) {
    ring_.words().due[bucket] = due;
    if (ring_.words().is_asleep.exchange(0) != 0) wake_recorder();
}

// THREAT: a recorder that was taken over sends so much that the broker does nothing else. The rest waits for the next turn.
Status Audit::hear() {
    ipc::Frame frame;
    for (int heard = 0; heard < kMostHeard; ++heard)
        if (!TRY(ipc::receive(recorder_, frame))) return {};
    return {};
}

}  // namespace sallyport::broker
