// A host that only measures: sends requests that were made beforehand and looks for the line ends of the
// replies. It parses no JSON, so that what is timed is the agent. Prints the seconds that the work took.
//
// usage: load SOCKET ask COMMAND COUNT WINDOW
//        load SOCKET read FILE PIECE TOTAL
//        load SOCKET write FILE PIECE TOTAL
//        load SOCKET exec PROGRAM COUNT PAUSE                  so many ms after one another, which do not count
//        load SOCKET cycle shared|apart COMMAND,COMMAND,...    each once, on one connection or each on its own
#include <poll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace {

constexpr std::size_t kReceiveSize = std::size_t{1} << 20U;
constexpr std::size_t kFileSize = std::size_t{48} << 20U;  // of the file that compare.py makes to be read

[[noreturn]] void fail(std::string_view what) {
    std::fprintf(stderr, "load: %.*s\n", static_cast<int>(what.size()), what.data());
    std::exit(1);
}

class Agent {
public:
    explicit Agent(const char* path)
        : socket_(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0)), buffer_(kReceiveSize) {
        sockaddr_un address{};
        address.sun_family = AF_UNIX;
        std::strncpy(address.sun_path, path, sizeof address.sun_path - 1);
        // NOLINTNEXTLINE(cppcoreguidelines-pro-type-reinterpret-cast): what connect(2) asks for
        if (connect(socket_, reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0)
            fail("connect");
    }
    Agent(const Agent&) = delete;
    Agent& operator=(const Agent&) = delete;
    ~Agent() { close(socket_); }

    void send_all(std::string_view bytes) const {
        while (!bytes.empty()) {
            const ssize_t sent = send(socket_, bytes.data(), bytes.size(), MSG_NOSIGNAL);
            if (sent < 0) fail("send");
            bytes.remove_prefix(static_cast<std::size_t>(sent));
        }
    }

    /// Takes the next `lines` replies; their size. The beginning of the last is kept for reply().
    std::size_t take(std::size_t lines) {
        std::size_t size = 0;
        bool at_start = true;
        while (lines > 0) {
            if (at_ == end_) refill();
            const std::string_view rest(buffer_.data() + at_, end_ - at_);
            if (at_start) start_.clear();
            start_.append(rest.substr(0, start_.size() < kKept ? kKept - start_.size() : 0));
            const std::size_t line_end = rest.find('\n');
            at_start = line_end != std::string_view::npos;
            const std::size_t used = at_start ? line_end + 1 : rest.size();
            size += used;
            at_ += used;
            if (!at_start) continue;
            lines -= 1;
            // In front of the reply to guest-sync-delimited stands a byte that no JSON has.
            if (!std::string_view(start_)
                     .substr(start_.starts_with('\xFF') ? 1 : 0)
                     .starts_with(R"({"return":)"))
                fail(start_);
        }
        return size;
    }

    std::size_t ask(std::string_view request) {
        send_all(request);
        return take(1);
    }

    [[nodiscard]] std::string_view reply() const { return start_; }

private:
    static constexpr std::size_t kKept = 120;

    void refill() {
        const ssize_t got = recv(socket_, buffer_.data(), buffer_.size(), 0);
        if (got <= 0) fail("the agent closed the connection");
        at_ = 0;
        end_ = static_cast<std::size_t>(got);
    }

    int socket_;
    std::vector<char> buffer_;
    std::size_t at_ = 0;
    std::size_t end_ = 0;
    std::string start_;
};

std::size_t number(const char* text) {
    return std::strtoul(text, nullptr, 10);
}

// The number that the last reply gives.
std::string number_in(std::string_view reply) {
    const std::size_t digits = reply.find_first_of("0123456789");
    if (digits == std::string_view::npos) fail(reply);
    return std::string(reply.substr(digits, reply.find('}') - digits));
}

std::string open_file(Agent& agent, std::string_view path, std::string_view mode) {
    agent.ask(R"({"execute":"guest-file-open","arguments":{"path":")" + std::string(path) + R"(","mode":")" +
              std::string(mode) + "\"}}\n");
    return number_in(agent.reply());
}

std::string request(std::string_view command, std::string_view arguments) {
    return R"({"execute":")" + std::string(command) + R"(","arguments":{)" + std::string(arguments) + "}}\n";
}

std::size_t base64_size(std::size_t size) {
    return (size + 2) / 3 * 4;
}

void ask(Agent& agent, std::string_view command, std::size_t count, std::size_t window) {
    std::string requests;
    for (std::size_t i = 0; i < window; ++i) requests += request(command, "");
    for (std::size_t done = 0; done < count; done += window) {
        agent.send_all(requests);
        agent.take(window);
    }
}

void read_file(Agent& agent, std::string_view path, std::size_t piece, std::size_t total) {
    const std::string handle = open_file(agent, path, "r");
    const std::string read =
        request("guest-file-read", R"("handle":)" + handle + R"(,"count":)" + std::to_string(piece));
    const std::string rewind =
        request("guest-file-seek", R"("handle":)" + handle + R"(,"offset":0,"whence":"set")");
    for (std::size_t done = 0; done < total; done += piece) {
        if (done % kFileSize == 0) agent.ask(rewind);
        if (agent.ask(read) < base64_size(piece)) fail("a read came short");
    }
    agent.ask(request("guest-file-close", R"("handle":)" + handle));
}

void write_file(Agent& agent, std::string_view path, std::size_t piece, std::size_t total) {
    const std::string handle = open_file(agent, path, "w");
    // All kinds of character of the alphabet, so that no decoder gets off lightly.
    std::string base64(base64_size(piece), 'A');
    for (std::size_t at = 0; at < piece / 3 * 4; ++at)
        base64[at] = "ABCDwxyz0189+/QRabstJKmn"[(at * 7 + at / 24) % 24];
    std::fill(base64.end() - static_cast<std::ptrdiff_t>((3 - piece % 3) % 3), base64.end(), '=');
    const std::string write =
        request("guest-file-write", R"("handle":)" + handle + R"(,"buf-b64":")" + base64 + '"');
    const std::string rewind =
        request("guest-file-seek", R"("handle":)" + handle + R"(,"offset":0,"whence":"set")");
    for (std::size_t done = 0; done < total; done += piece) {
        agent.ask(write);
        if (agent.reply().find(std::to_string(piece)) == std::string_view::npos) fail("a write came short");
        if ((done / piece) % 16 == 15) agent.ask(rewind);
    }
    agent.ask(request("guest-file-close", R"("handle":)" + handle));
}

std::vector<std::string> requests_of(std::string_view commands) {
    std::vector<std::string> requests;
    while (!commands.empty()) {
        const std::size_t end = std::min(commands.find(','), commands.size());
        requests.push_back(request(commands.substr(0, end), ""));
        commands.remove_prefix(std::min(end + 1, commands.size()));
    }
    return requests;
}

// As libvirt does it, which keeps the channel open; or as Proxmox does: a connection for each command, which is sent together with
// a sync in front.
void poll_once(const char* path, bool apart, std::string_view commands) {
    const std::vector<std::string> requests = requests_of(commands);
    if (!apart) {
        Agent agent(path);
        for (const std::string& one : requests) agent.ask(one);
        return;
    }
    for (const std::string& one : requests) {
        Agent agent(path);
        agent.send_all(request("guest-sync-delimited", "\"id\":1") + one);
        agent.take(2);
    }
}

double seconds_since(std::chrono::steady_clock::time_point start) {
    return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

// From the request to the exit status, which is asked for without pause; in seconds, all together.
double start_programs(Agent& agent, std::string_view program, std::size_t count, std::size_t pause_ms) {
    const std::string start =
        request("guest-exec", R"("path":")" + std::string(program) + R"(","capture-output":true)");
    double seconds = 0;
    for (std::size_t done = 0; done < count; ++done) {
        poll(nullptr, 0, static_cast<int>(pause_ms));
        const auto begin = std::chrono::steady_clock::now();
        agent.ask(start);
        const std::string status = request("guest-exec-status", "\"pid\":" + number_in(agent.reply()));
        do agent.ask(status);
        while (agent.reply().find("\"exitcode\"") == std::string_view::npos);
        seconds += seconds_since(begin);
    }
    return seconds;
}

}  // namespace

int main(int argc, char** argv) {
    const std::span<char*> words(argv, static_cast<std::size_t>(argc));
    const std::string_view verb = words.size() > 2 ? words[2] : "";
    if (verb == "cycle" && words.size() == 5) {
        const auto start = std::chrono::steady_clock::now();
        poll_once(words[1], words[3] == std::string_view("apart"), words[4]);
        std::printf("%.9f\n", seconds_since(start));
        return 0;
    }
    if (words.size() != 6) fail("usage: load SOCKET ask|read|write|exec|cycle ...");
    Agent agent(words[1]);
    agent.ask("{\"execute\":\"guest-ping\"}\n");
    if (verb == "exec") {
        std::printf("%.9f\n", start_programs(agent, words[3], number(words[4]), number(words[5])));
        return 0;
    }
    const auto start = std::chrono::steady_clock::now();
    if (verb == "ask") ask(agent, words[3], number(words[4]), number(words[5]));
    if (verb == "read") read_file(agent, words[3], number(words[4]), number(words[5]));
    if (verb == "write") write_file(agent, words[3], number(words[4]), number(words[5]));
    std::printf("%.9f\n", seconds_since(start));
    return 0;
}
