#include "tests/unit/worker/served.hpp"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <csignal>

#include "ipc/codec.hpp"

namespace sallyport::worker::test {

namespace {

bool wait_for(int fd, short events, int wait_ms) {
    pollfd wanted{.fd = fd, .events = events, .revents = 0};
    return ::poll(&wanted, 1, wait_ms) == 1;
}

}  // namespace

Served::Served(ipc::Welcome::Channel channel, CommandSet disabled)
    : arena_(std::move(*ipc::Arena::create())) {
    std::signal(SIGPIPE, SIG_IGN);
    for (const Command& row : kCommands)
        if (!disabled.has(row.id)) welcome_.add_enabled(static_cast<std::uint32_t>(row.id));
    welcome_.set_channel(channel);
    std::array<int, 2> pair{};
    EXPECT_EQ(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair.data()), 0);
    host_ = UniqueFd(pair[0]);
    worker_host_ = UniqueFd(pair[1]);
    EXPECT_EQ(::fcntl(worker_host_.get(), F_SETFL, O_NONBLOCK), 0);
    start();
}

Served::~Served() {
    host_.reset();
    broker_.reset();
    if (thread_.joinable()) thread_.join();
}

void Served::start() {
    auto pair = ipc::socket_pair();
    ASSERT_TRUE(pair.has_value());
    broker_ = std::move(pair->first);
    worker_broker_ = std::move(pair->second);
    epoll_ = UniqueFd(::epoll_create1(EPOLL_CLOEXEC));
    ASSERT_TRUE(watch(epoll_, worker_host_, worker_broker_).has_value());
    thread_ = std::thread([this] {
        exit_ = serve({.epoll = epoll_,
                       .channel = worker_host_,
                       .broker = worker_broker_,
                       .arena = arena_,
                       .commands = commands_});
        worker_broker_.reset();
        epoll_.reset();
    });
    greet();
}

void Served::greet() {
    const ipc::Request hello = asked();
    EXPECT_TRUE(hello.has_hello());
    EXPECT_EQ(hello.seq(), 0U);
    ipc::Reply welcome;
    *welcome.mutable_welcome() = welcome_;
    reply(welcome);
}

void Served::restart() {
    broker_.reset();
    thread_.join();
    start();
}

void Served::say(std::string_view bytes) {
    while (!bytes.empty()) {
        const ssize_t size = ::send(host_.get(), bytes.data(), bytes.size(), 0);
        ASSERT_GT(size, 0);
        bytes.remove_prefix(static_cast<std::size_t>(size));
    }
}

bool Served::host_has_input(int wait_ms) const {
    return !received_.empty() || wait_for(host_.get(), POLLIN, wait_ms);
}

std::string Served::line() {
    for (;;) {
        if (const std::size_t end = received_.find('\n'); end != received_.npos) {
            std::string line = received_.substr(0, end);
            received_.erase(0, end + 1);
            return line;
        }
        const std::size_t before = received_.size();
        received_ += bytes(1);
        if (received_.size() == before) return "(no line)";
    }
}

std::string Served::bytes(std::size_t size) {
    std::string all;
    std::array<char, 65536> buffer{};
    while (all.size() < size && wait_for(host_.get(), POLLIN, kPatienceMs)) {
        const ssize_t got = ::read(host_.get(), buffer.data(), buffer.size());
        if (got <= 0) break;
        all.append(buffer.data(), static_cast<std::size_t>(got));
    }
    return all;
}

void Served::half_close() {
    EXPECT_EQ(::shutdown(host_.get(), SHUT_WR), 0);
}

bool Served::is_asked(int wait_ms) const {
    return wait_for(broker_.get(), POLLIN, wait_ms);
}

ipc::Request Served::asked() {
    ipc::Request request;
    ipc::Frame frame;
    std::string scratch;
    EXPECT_TRUE(is_asked(kPatienceMs));
    const auto got = ipc::receive(broker_, frame);
    EXPECT_TRUE(got.has_value() && *got);
    EXPECT_TRUE(ipc::decode(frame.bytes, request, scratch).has_value());
    return request;
}

void Served::send_frame(std::string_view frame) {
    EXPECT_TRUE(ipc::send(broker_, frame, ipc::WhenFull::kWait).has_value());
}

void Served::reply(const ipc::Reply& reply) {
    std::string frame;
    ipc::encode(reply, frame);
    send_frame(frame);
}

Exit Served::end() {
    thread_.join();
    return exit_.value();
}

std::string request(std::string_view command, std::string_view arguments) {
    return "{\"execute\":\"" + std::string(command) + "\",\"arguments\":" + std::string(arguments) + "}\n";
}

ipc::Reply opened(const ipc::Request& request, std::int64_t handle) {
    ipc::Reply reply;
    reply.set_seq(request.seq());
    reply.mutable_file_open()->set_handle(handle);
    return reply;
}

}  // namespace sallyport::worker::test
