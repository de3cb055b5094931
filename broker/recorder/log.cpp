// Runs in:  recorder
#include "broker/recorder/log.hpp"

#include <fcntl.h>
#include <poll.h>
#include <sha2.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <utility>

#include "base/lock_file.hpp"

namespace sallyport::recorder {

namespace {

constexpr std::string_view kName = "audit.jsonl";
constexpr const char* kLockName = "audit.lock";
constexpr std::string_view kLastLine = R"({"verdict":"note","what":"log-closed"})";
constexpr std::string_view kRemovedLine = R"({"verdict":"note","what":"log-removed"})";
constexpr std::size_t kChainPart = 84;  // what chained() adds, and the LF
constexpr std::size_t kTail = std::size_t{64}
                              << 10U;              // the last line of a file begins within this many bytes
constexpr int kLockTries = 40, kLockPauseMs = 50;  // an earlier recorder may still be writing
static_assert(kMaxLogLine + kChainPart < kTail && kMinLogSize > 2 * kLogBatch);

std::string name_of(std::uint32_t number) {
    return number == 0 ? std::string(kName) : std::string(kName) + "." + std::to_string(number);
}

UniqueFd open_log(FdRef directory, std::uint32_t number, int flags) {
    return UniqueFd(::openat(directory.get(), name_of(number).c_str(),
                             flags | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK, 0600));
}

// THREAT: a broker that was taken over writes several lines as one, or bytes that control a terminal.
bool is_object(std::string_view line) {
    return line.size() > 2 && line.front() == '{' && line.back() == '}' &&
           std::ranges::all_of(line, [](char byte) { return byte >= 0x20 && byte < 0x7f; });
}

// THREAT: a local user locks a file that he can only read, and no recorder starts. The state directory may be readable; this file
// is not.
Result<UniqueFd> open_lock(FdRef directory) {
    UniqueFd lock(
        ::openat(directory.get(), kLockName, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK, 0600));
    if (!lock.is_open()) return system_error(kLockName);
    TRY(close_to_others(lock));
    return lock;
}

// The end of a file, including its whole last line.
Result<std::string> tail_of(FdRef file) {
    struct stat info{};
    if (::fstat(file.get(), &info) != 0) return system_error("fstat");
    const auto size = static_cast<std::uint64_t>(info.st_size);
    std::string tail(std::min<std::uint64_t>(size, kTail), '\0');
    const ssize_t got = ::pread(file.get(), tail.data(), tail.size(), static_cast<off_t>(size - tail.size()));
    if (got < 0) return system_error("pread");
    tail.resize(static_cast<std::size_t>(got));
    return tail;
}

}  // namespace

Hash hash_of(std::string_view line) {
    constexpr std::string_view kDigits = "0123456789abcdef";
    SHA2_CTX context;
    std::array<std::uint8_t, SHA256_DIGEST_LENGTH> digest{};
    ::SHA256Init(&context);
    ::SHA256Update(&context, reinterpret_cast<const std::uint8_t*>(line.data()), line.size());
    ::SHA256Final(digest.data(), &context);
    Hash hash{};
    for (std::size_t at = 0; at < digest.size(); ++at) {
        hash[2 * at] = kDigits[digest[at] >> 4U];
        hash[2 * at + 1] = kDigits[digest[at] & 15U];
    }
    return hash;
}

std::string chained(std::string_view object, Hash& previous) {
    std::string line(object.substr(0, object.size() - 1));
    line.append(",\"prev\":\"").append(previous.data(), previous.size()).append("\"}");
    previous = hash_of(line);
    return line;
}

void Log::Unmap::operator()(Chain* chain) const {
    ::munmap(chain, sizeof *chain);
}

Result<Log> Log::open(FdRef directory, Rotation rotation) {
    Log log;
    log.rotation_ = rotation;
    log.directory_ = UniqueFd(::openat(directory.get(), ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    if (!log.directory_.is_open()) return system_error("the state directory");
    log.lock_ = TRY(open_lock(log.directory_));
    void* memory = ::mmap(nullptr, sizeof(Chain), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (memory == MAP_FAILED) return system_error("mmap");
    log.chain_.reset(static_cast<Chain*>(memory));
    for (int tries = 0; !TRY(log.acquire()) && tries < kLockTries; ++tries) ::poll(nullptr, 0, kLockPauseMs);
    return log;
}

// Both processes hold the lock, since they share the open file. The one that goes on asks again for a lock it already has.
Result<bool> Log::acquire() {
    if (is_ours()) return true;
    if (::flock(lock_.get(), LOCK_EX | LOCK_NB) != 0) {
        if (errno == EWOULDBLOCK) return false;
        return system_error("flock");
    }
    TRY(open_file());
    TRY(resume_chain());
    chain_->is_ours = true;
    return true;
}

Status Log::open_file() {
    UniqueFd file = open_log(directory_, 0, O_RDWR | O_APPEND | O_CREAT);
    if (!file.is_open()) return system_error("audit.jsonl");
    struct stat info{};
    if (::fstat(file.get(), &info) != 0) return system_error("fstat");
    if (!S_ISREG(info.st_mode)) return failure(Errc::kInvalid, "audit.jsonl: not a regular file");
    file_ = std::move(file);
    chain_->inode = info.st_ino;
    is_closed_ = false;
    return {};
}

// The chain continues from the last line, whatever it contains. Without any line it starts from zeros.
Status Log::resume_chain() {
    chain_->previous.fill('0');
    std::string tail = TRY(tail_of(file_));
    if (tail.empty()) {
        const UniqueFd earlier = open_log(directory_, 1, O_RDONLY);
        if (earlier.is_open()) tail = TRY(tail_of(earlier));
    } else {
        chain_->is_torn = tail.back() != '\n';
    }
    if (tail.empty()) return {};
    if (tail.back() == '\n') tail.pop_back();
    const std::size_t start = tail.rfind('\n');
    chain_->previous = hash_of(std::string_view(tail).substr(start == tail.npos ? 0 : start + 1));
    return {};
}

Status Log::measure() {
    struct stat info{};
    if (::fstat(file_.get(), &info) != 0) return system_error("fstat");
    file_size_ = static_cast<std::uint64_t>(info.st_size);
    is_removed_ = info.st_nlink == 0;
    return {};
}

void Log::begin(std::size_t size, const Hash& previous, std::uint64_t taken) {
    chain_->done = 0;
    chain_->start = file_size_;
    chain_->next_previous = previous;
    chain_->next_taken = taken;
    chain_->size = size;
}

Result<bool> Log::compose(const ipc::Ring& ring) {
    Hash previous = chain_->previous;
    std::uint64_t position = chain_->taken;
    std::size_t size = 0;
    std::string line;
    if (chain_->is_torn) chain_->text[size++] = '\n';
    while (size + kMaxLogLine + kChainPart <= kLogBatch && TRY(ring.take(position, line))) {
        if (!is_object(line)) return failure(Errc::kInvalid, "not a line of the log");
        line = chained(line, previous) + "\n";
        std::ranges::copy(line, chain_->text.begin() + static_cast<std::ptrdiff_t>(size));
        size += line.size();
    }
    if (position == chain_->taken) return false;
    begin(size, previous, position);
    return true;
}

// If the disk takes only a part, the rest is retried, so no line is torn while we live.
Status Log::write_out() {
    while (chain_->done < chain_->size) {
        const ssize_t put =
            ::write(file_.get(), chain_->text.data() + chain_->done, chain_->size - chain_->done);
        if (put < 0) return system_error("write");
        chain_->done += static_cast<std::size_t>(put);
    }
    chain_->previous = chain_->next_previous;
    chain_->taken = chain_->next_taken;
    chain_->is_torn = false;
    chain_->size = 0;
    return {};
}

Result<bool> Log::write_some(const ipc::Ring& ring) {
    if (!TRY(acquire())) return failure(Errc::kLimit, "an earlier recorder still has lines to write");
    ring.words().is_waiting = 0;
    if (chain_->size == 0) ring.words().taken = chain_->taken;
    if (is_complete(ring)) return false;
    TRY(measure());
    if (is_removed_) TRY(replace_removed());
    if (chain_->size == 0) {
        if (file_size_ > 0 && file_size_ + kLogBatch > rotation_.max_size) TRY(rotate());
        if (!TRY(compose(ring))) return false;
    }
    TRY(write_out());
    ring.words().taken = chain_->taken;
    return true;
}

bool Log::is_complete(const ipc::Ring& ring) const {
    return chain_->size == 0 && ring.words().put == chain_->taken;
}

// Writes a line that does not come from the broker.
Status Log::write_own(std::string_view object) {
    Hash previous = chain_->previous;
    const std::string line = (chain_->is_torn ? "\n" : "") + chained(object, previous) + "\n";
    std::ranges::copy(line, chain_->text.begin());
    TRY(measure());
    begin(line.size(), previous, chain_->taken);
    return write_out();
}

// Nobody reads a file that has no name any more. A batch under way is written again, to the new file.
Status Log::replace_removed() {
    TRY(open_file());
    chain_->is_torn = false;
    chain_->done = 0;
    if (chain_->size != 0) TRY(write_out());
    return write_own(kRemovedLine);
}

// The closing line proves that nothing was cut off after it; the next file's first line holds its hash.
Status Log::close_file() {
    if (chain_->size != 0) TRY(write_out());
    if (!is_closed_) {
        is_closed_ = true;
        TRY(write_own(kLastLine));
    }
    if (::fdatasync(file_.get()) != 0) return system_error("fdatasync");
    return {};
}

// The first unused number. If all are used, the last one, whose file is overwritten.
std::uint32_t Log::free_number() const {
    struct stat info{};
    const auto is_free = [&](std::uint32_t number) {
        return ::fstatat(directory_.get(), name_of(number).c_str(), &info, AT_SYMLINK_NOFOLLOW) != 0 &&
               errno == ENOENT;
    };
    std::uint32_t number = 1;
    while (number < rotation_.keep && !is_free(number)) ++number;
    return number;
}

// A rename that fails (append-only file, mount point) is retried, but the other files are shifted only once.
Status Log::rotate() {
    TRY(close_file());
    for (std::uint32_t number = rotation_.keep == 0 ? 0 : free_number(); number > 0; --number) {
        const int renamed = ::renameat(directory_.get(), name_of(number - 1).c_str(), directory_.get(),
                                       name_of(number).c_str());
        if (renamed != 0 && errno != ENOENT) return system_error("rename");
    }
    TRY(open_file());
    if (::fsync(directory_.get()) != 0) return system_error("fsync");
    return {};
}

Status Log::reopen() {
    struct stat named{};
    const bool is_there = ::fstatat(directory_.get(), name_of(0).c_str(), &named, AT_SYMLINK_NOFOLLOW) == 0;
    if (is_there && named.st_ino == chain_->inode) return {};
    TRY(measure());
    if (is_removed_) return replace_removed();
    TRY(close_file());
    return open_file();
}

// The killed process may have written a part of its batch; the file's size shows how much.
Status Log::take_over() {
    if (!is_ours()) return {};
    const std::uint64_t inode = chain_->inode;
    TRY(open_file());
    TRY(measure());
    if (chain_->inode != inode)
        chain_->done = 0;  // the file was removed or renamed
    else if (file_size_ >= chain_->start && file_size_ - chain_->start <= chain_->size)
        chain_->done = std::max<std::size_t>(chain_->done, file_size_ - chain_->start);
    return {};
}

Status Log::sync() const {
    const UniqueFd file = open_log(directory_, 0, O_RDONLY);
    struct stat info{};
    if (!file.is_open() || ::fstat(file.get(), &info) != 0) return system_error("audit.jsonl");
    if (info.st_ino != chain_->inode) return failure(Errc::kInvalid, "audit.jsonl: another file");
    if (::fdatasync(file.get()) != 0) return system_error("fdatasync");
    return {};
}

}  // namespace sallyport::recorder
