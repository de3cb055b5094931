// Ownership of descriptors: UniqueFd owns and closes, FdRef borrows.
// Runs in:  every process
#pragma once

#include <unistd.h>

#include <utility>

namespace sallyport {

class UniqueFd {
public:
    UniqueFd() = default;
    explicit UniqueFd(int fd) : fd_(fd) {}
    UniqueFd(UniqueFd&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
    UniqueFd& operator=(UniqueFd&& other) noexcept {
        if (this != &other) reset(std::exchange(other.fd_, -1));
        return *this;
    }
    UniqueFd(const UniqueFd&) = delete;
    UniqueFd& operator=(const UniqueFd&) = delete;
    ~UniqueFd() { reset(); }

    void reset(int fd = -1) {
        if (fd_ >= 0) ::close(fd_);
        fd_ = fd;
    }
    [[nodiscard]] bool is_open() const { return fd_ >= 0; }
    [[nodiscard]] int get() const { return fd_; }
    [[nodiscard]] int release() { return std::exchange(fd_, -1); }

private:
    int fd_ = -1;
};

class FdRef {
public:
    FdRef(const UniqueFd& owner)
        : fd_(owner.get()) {}  // NOLINT(google-explicit-constructor): lending is implicit
    explicit FdRef(int fd) : fd_(fd) {}
    [[nodiscard]] int get() const { return fd_; }

private:
    int fd_;
};

}  // namespace sallyport
