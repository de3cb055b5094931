// The audit log: one JSON line for each decision, each line holding the hash of the one before.
// Runs in:  broker; the only place where it logs once it serves
// Input:    requests of a worker that may have been taken over: every byte of theirs is escaped
// Relies on: libmd for SHA-256
#include "broker/audit.hpp"

#include <fcntl.h>
#include <poll.h>
#include <sha2.h>
#include <sys/random.h>
#include <sys/stat.h>

#include <chrono>
#include <ctime>
#include <utility>

#include "ipc/limits.hpp"

namespace sallyport::broker {

namespace {

constexpr std::size_t kDigestShown = 16;    // hexadecimal digits of the policy's digest in each line
constexpr std::size_t kAtomicWrite = 4096;  // PIPE_BUF

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

std::array<char, 64> hash_of(std::string_view line) {
    SHA2_CTX context;
    std::array<std::uint8_t, SHA256_DIGEST_LENGTH> digest{};
    ::SHA256Init(&context);
    ::SHA256Update(&context, reinterpret_cast<const std::uint8_t*>(line.data()), line.size());
    ::SHA256Final(digest.data(), &context);
    const std::string text = hexadecimal({reinterpret_cast<const char*>(digest.data()), digest.size()});
    std::array<char, 64> hash{};
    std::copy(text.begin(), text.end(), hash.begin());
    return hash;
}

std::string wall_time() {
    timespec now{};
    ::clock_gettime(CLOCK_REALTIME, &now);
    tm parts{};
    ::gmtime_r(&now.tv_sec, &parts);
    std::array<char, 40> text{};
    const std::size_t size = std::strftime(text.data(), text.size(), "%Y-%m-%dT%H:%M:%S", &parts);
    const std::string micros = std::to_string(1'000'000 + now.tv_nsec / 1000);
    return std::string(text.data(), size) + "." + micros.substr(1) + "Z";
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

}  // namespace

std::int64_t boottime_ns() {
    timespec now{};
    ::clock_gettime(CLOCK_BOOTTIME, &now);
    return std::int64_t{now.tv_sec} * 1'000'000'000 + now.tv_nsec;
}

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

Result<Audit> Audit::open(FdRef state_directory, std::string_view policy_digest) {
    Audit audit;
    constexpr int kFlags = O_RDWR | O_APPEND | O_CREAT | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK;
    audit.file_ = UniqueFd(::openat(state_directory.get(), "audit.jsonl", kFlags, 0600));
    if (!audit.file_.is_open()) return system_error("audit.jsonl");
    struct stat info{};
    if (::fstat(audit.file_.get(), &info) != 0) return system_error("fstat");
    if (!S_ISREG(info.st_mode)) return failure(Errc::kInvalid, "audit.jsonl: not a regular file");
    if (const auto resumed = audit.resume_chain(); !resumed) return std::unexpected(resumed.error());
    audit.policy_ = hexadecimal(policy_digest).substr(0, kDigestShown);
    std::array<char, 4> random{};
    if (::getrandom(random.data(), random.size(), 0) != static_cast<ssize_t>(random.size()))
        return system_error("getrandom");
    audit.run_ = hexadecimal({random.data(), random.size()});
    return audit;
}

// The chain goes on from the file's last line, whatever it says; an empty file starts from zeros.
Status Audit::resume_chain() {
    previous_.fill('0');
    const off_t size = ::lseek(file_.get(), 0, SEEK_END);
    if (size < 0) return system_error("lseek");
    constexpr off_t kTail = 64 << 10;
    const off_t from = size > kTail ? size - kTail : 0;
    std::string tail(static_cast<std::size_t>(size - from), '\0');
    const ssize_t got = ::pread(file_.get(), tail.data(), tail.size(), from);
    if (got < 0) return system_error("pread");
    tail.resize(static_cast<std::size_t>(got));
    if (tail.empty()) return {};
    is_torn_ = tail.back() != '\n';
    if (!is_torn_) tail.pop_back();
    const std::size_t start = tail.rfind('\n');
    previous_ = hash_of(std::string_view(tail).substr(start == tail.npos ? 0 : start + 1));
    return {};
}

JsonLine Audit::compose(const Record& record) {
    JsonLine line;
    const std::int64_t now = boottime_ns();
    line.add("time", wall_time());
    line.add("boottime_us", now / 1000);
    line.add("run", run_);
    line.add("seq", static_cast<std::int64_t>(++sequence_));
    line.add("session", static_cast<std::int64_t>(record.session));
    line.add("verdict", verdict_word(record.verdict));
    line.add("what", record.what);
    if (!record.arguments.is_empty()) line.add("arguments", record.arguments);
    if (!record.rule.empty()) line.add("rule", record.rule);
    if (!record.reason.empty()) line.add("reason", record.reason);
    if (record.sys_errno != 0) line.add("errno", record.sys_errno);
    if (record.bytes) line.add("bytes", static_cast<std::int64_t>(*record.bytes));
    if (record.started_ns != 0) line.add("duration_us", (now - record.started_ns) / 1000);
    return line;
}

// THREAT: whoever reads our standard error stops doing so, and we would wait for him. A line goes there only
// if it is certain to be taken at once; the file has it in any case.
void Audit::put_on_stderr(std::string_view line) {
    pollfd wanted{.fd = STDERR_FILENO, .events = POLLOUT, .revents = 0};
    const timespec at_once{};
    if (line.size() > kAtomicWrite || ::ppoll(&wanted, 1, &at_once, nullptr) != 1 ||
        (wanted.revents & POLLOUT) == 0)
        return;
    [[maybe_unused]] const ssize_t put = ::write(STDERR_FILENO, line.data(), line.size());
}

std::string Audit::write(const Record& record) {
    if (!is_holding_) return put(compose(record));
    if (held_.size() < kMaxHeldRecords || record.has_place)
        held_.push_back(compose(record));
    else
        ++lost_;
    return {};
}

void Audit::release() {
    is_holding_ = false;
    for (JsonLine& line : std::exchange(held_, {})) put(std::move(line));
}

std::string Audit::put(JsonLine members) {
    if (lost_ != 0) members.add("lost", static_cast<std::int64_t>(lost_));
    members.add("policy", policy_);
    members.add("prev", std::string_view(previous_.data(), previous_.size()));
    std::string line = members.text();
    const Hash hash = hash_of(line);
    line.push_back('\n');
    put_on_stderr(line);
    if (is_torn_) line.insert(line.begin(), '\n');
    const ssize_t put = ::write(file_.get(), line.data(), line.size());
    if (put == static_cast<ssize_t>(line.size())) {
        previous_ = hash;
        lost_ = 0;
        is_torn_ = false;
    } else {
        ++lost_;
        is_torn_ = is_torn_ || put > 0;
    }
    return std::string(hash.data(), 12);
}

}  // namespace sallyport::broker
