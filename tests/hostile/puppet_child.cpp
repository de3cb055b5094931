// A child of the inspector that has been taken over: the inspector itself is the real one. The command that is asked for
// says which attack.
#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <string>
#include <string_view>

#include "inspector/child.hpp"
#include "ipc/channel.hpp"
#include "ipc/codec.hpp"
#include "ipc/inspector.pb.h"
#include "ipc/limits.hpp"
#include "schema/inspect.pb.h"

namespace sallyport::inspector {

namespace {

constexpr int kFirstOwn = 3;  // after input, output and messages
constexpr int kMostDescriptors = 1024;

void say(FdRef socket, std::string_view frame) {
    (void)ipc::send(socket, frame, ipc::WhenFull::kWait);
}

void say(FdRef broker, Word word, std::string_view part) {
    say(broker, static_cast<char>(word) + std::string(part));
}

std::string encoded(const schema::Inspected& reply) {
    std::string bytes;
    ipc::encode(reply, bytes);
    return bytes;
}

std::string host_name(const char* name) {
    schema::Inspected reply;
    reply.mutable_get_host_name()->set_host_name(name);
    return encoded(reply);
}

int count_sockets() {
    int count = 0;
    for (int fd = kFirstOwn; fd < kMostDescriptors; ++fd) {
        struct stat info{};
        if (::fstat(fd, &info) == 0 && S_ISSOCK(info.st_mode)) ++count;
    }
    return count;
}

bool is_refused(const char* path) {
    return ::open(path, O_RDONLY | O_CLOEXEC) < 0 && errno == EACCES;
}

// Answers to the queries to come, wherever that may lead.
[[noreturn]] void lie_for_ever() {
    const std::string frame = static_cast<char>(Word::kLast) + host_name("liar");
    for (;;)
        for (int fd = kFirstOwn; fd < 32; ++fd) (void)ipc::send(FdRef(fd), frame, ipc::WhenFull::kFail);
}

// As the filter of the inspector lets it through.
void fork_liar() {
    int process = -1;
    if (::syscall(SYS_clone, CLONE_PIDFD | SIGCHLD, nullptr, &process, nullptr, nullptr) == 0) lie_for_ever();
}

void answer(FdRef broker, const ipc::Query& query) {
    schema::Inspected reply;
    switch (CommandId{static_cast<std::uint8_t>(query.command())}) {
        case CommandId::kGetHostName:
            return say(broker, Word::kLast, host_name("well"));
        case CommandId::kGetOsinfo:  // the same
            reply.mutable_get_osinfo()->set_id("well");
            return say(broker, Word::kLast, encoded(reply));
        case CommandId::kGetTime:  // somebody who outlives it
            fork_liar();
            reply.mutable_get_time()->set_nanoseconds(1);
            return say(broker, Word::kLast, encoded(reply));
        case CommandId::kGetTimezone:  // parts without end that do not count
            for (;;) say(broker, Word::kMore, "");
        case CommandId::kGetUsers:  // full ones
            for (;;) say(broker, Word::kMore, std::string(kInspectedPart, 'a'));
        case CommandId::kGetVcpus:  // no word of its
            return say(broker, "?");
        case CommandId::kGetCpustats:  // nothing, but as a frame
            return say(broker, "");
        case CommandId::kGetFsinfo:  // a last part that is too large
            return say(broker, Word::kLast, std::string(kInspectedPart + 1, 'a'));
        case CommandId::kGetLoad:  // an answer more than it was asked for
            reply.mutable_get_load();
            say(broker, Word::kLast, encoded(reply));
            return say(broker, Word::kLast, host_name("liar"));
        case CommandId::kGetDiskstats:  // an honest answer if it has no other socket
            if (count_sockets() != 1) return say(broker, "?");
            reply.mutable_get_diskstats();
            return say(broker, Word::kLast, encoded(reply));
        case CommandId::kGetMemoryBlocks:  // the same if it can read no file of the guest at large
            if (!is_refused("/etc/passwd") || !is_refused("/etc/os-release")) return say(broker, "?");
            reply.mutable_get_memory_blocks();
            return say(broker, Word::kLast, encoded(reply));
        case CommandId::kNetworkGetInterfaces:  // that another should answer, again and again
            return say(broker, Word::kOutdated, "");
        case CommandId::kGetMemoryBlockInfo:  // an errno that is none
            return say(broker, Word::kSystem, std::string(ipc::kErrnoSize, '\0'));
        default:
            return;
    }
}

}  // namespace

int answer_queries(FdRef broker, const Facts&) {
    ipc::Frame frame;
    std::string scratch;
    for (;;) {
        pollfd wanted{.fd = broker.get(), .events = POLLIN, .revents = 0};
        ::ppoll(&wanted, 1, nullptr, nullptr);
        const auto got = ipc::receive(broker, frame);
        if (!got) return 0;
        ipc::Query query;
        if (*got && ipc::decode(frame.bytes, query, scratch)) answer(broker, query);
    }
}

}  // namespace sallyport::inspector
