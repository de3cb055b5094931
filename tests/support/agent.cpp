#include "tests/support/agent.hpp"

#include <grp.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <sstream>
#include <stdexcept>

#include "tests/support/audit.hpp"

namespace sallyport::test {

namespace {

UniqueFd datagrams_at(const std::string& path) {
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    std::memcpy(address.sun_path, path.data(), std::min(path.size(), sizeof address.sun_path - 1));
    UniqueFd socket(::socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
    ::unlink(path.c_str());
    if (::bind(socket.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0)
        throw std::runtime_error("bind " + path);
    ::chmod(path.c_str(), 0777);
    return socket;
}

void become_user(uid_t user) {
    if (::setgroups(0, nullptr) != 0 || ::setresgid(user, user, user) != 0 ||
        ::setresuid(user, user, user) != 0)
        ::_exit(124);
}

}  // namespace

std::string build_root() {
    const char* root = std::getenv("SALLYPORT_BUILD_ROOT");
    if (root == nullptr)
        throw std::runtime_error("SALLYPORT_BUILD_ROOT is not set: run the tests by meson test");
    return root;
}

void copy_programs(const std::string& build, const Scratch& scratch, const std::string& folder,
                   const InPlaceOf& instead) {
    for (const std::string name : kPrograms) {
        const std::string place = folder + name;
        scratch.make_folder(place.substr(0, place.rfind('/')));
        const bool is_other = name == instead.other;
        std::filesystem::copy_file(build + "/" + (is_other ? instead.what : name), scratch.path(place));
    }
}

Agent::Agent(AgentOptions options) : options_(std::move(options)) {
    scratch_.make_folder("state", 0700);
    std::string policy = options_.policy;
    for (std::size_t at = 0; (at = policy.find("$D")) != std::string::npos;)
        policy.replace(at, 2, scratch_.path());
    scratch_.write("policy.toml", policy);
    options_.prepare(scratch_);
    // Another user may not be let into the folder that this tree lies in.
    if (options_.user) {
        copy_programs(options_.root, scratch_, "programs/");
        options_.root = scratch_.path("programs");
    }
    if (options_.user) scratch_.give_to(*options_.user);
    start();
}

void Agent::start() {
    notify_ = datagrams_at(scratch_.path("notify"));
    notified_.clear();
    Program program{
        .words = {options_.root + "/broker/sallyportd"},
        .environment = {"NOTIFY_SOCKET=" + scratch_.path("notify"), "QGA_CONF=" + scratch_.path("none")},
        .output = scratch_.path("messages"),
        .before_exec = [user = options_.user, folder = scratch_.path(), more = options_.before_exec] {
            ::umask(022);
            more();
            if (user) become_user(*user);
            if (::chdir(folder.c_str()) != 0) ::_exit(123);
        }};
    if (options_.own_channel)
        program.words.insert(program.words.end(), {"-m", "unix-listen", "-p", socket()});
    program.words.insert(program.words.end(), {"--policy", scratch_.path("policy.toml"), "-t", state()});
    program.words.insert(program.words.end(), options_.words.begin(), options_.words.end());
    program.environment.insert(program.environment.end(), options_.environment.begin(),
                               options_.environment.end());
    broker_.emplace(program);
}

void Agent::restart() {
    start();
}

void Agent::take_notifications() {
    std::array<char, 4096> buffer;
    for (;;) {
        const ssize_t got = ::recv(notify_.get(), buffer.data(), buffer.size(), 0);
        if (got < 0) return;
        notified_.append(buffer.data(), static_cast<std::size_t>(got));
        notified_.push_back('\n');
    }
}

std::vector<std::string> Agent::notifications() {
    take_notifications();
    std::vector<std::string> lines;
    std::istringstream stream(notified_);
    for (std::string line; std::getline(stream, line);)
        if (!line.empty()) lines.push_back(line);
    return lines;
}

bool Agent::is_notified(std::string_view start, milliseconds patience) {
    bool found = false;
    eventually(
        [&] {
            const bool ended = broker_->has_ended();
            found = std::ranges::any_of(notifications(),
                                        [&](const auto& line) { return line.starts_with(start); });
            return found || ended;
        },
        patience);
    return found;
}

bool Agent::is_serving() {
    return is_notified("READY=1");
}

pid_t Agent::nursery() const {
    for (const pid_t child : children_of(broker_->pid()))
        if (name_of(child) == "sallyport-nursery") return child;
    return -1;
}

std::vector<pid_t> Agent::workers() const {
    std::vector<pid_t> found;
    const pid_t parent = nursery();
    if (parent < 0) return found;
    for (const pid_t child : children_of(parent))
        if (name_of(child) == "sallyport-worker") found.push_back(child);
    return found;
}

pid_t Agent::worker() const {
    std::vector<pid_t> found;
    eventually([&] { return (found = workers()).size() == 1; });
    return found.size() == 1 ? found[0] : -1;
}

pid_t Agent::idle_worker() const {
    const pid_t found = worker();
    eventually([found] { return state_of(found) == 'S'; });
    return found;
}

std::vector<pid_t> Agent::processes() const {
    std::vector<pid_t> all{broker_->pid()};
    for (std::size_t at = 0; at < all.size(); ++at) {
        const auto children = children_of(all[at]);
        all.insert(all.end(), children.begin(), children.end());
    }
    return all;
}

Ending Agent::stop() {
    const std::vector<pid_t> all = processes();
    broker_->signal(SIGTERM);
    const auto ending = broker_->wait();
    EXPECT_TRUE(ending) << "the broker does not end";
    for (const pid_t process : all)
        EXPECT_TRUE(eventually([process] { return !is_running(process); })) << process << " is left";
    return ending.value_or(-1);
}

std::string Agent::audit_file() const {
    settle_log(state());
    return state() + "/audit.jsonl";
}

std::vector<boost::json::object> Agent::audit() const {
    return audit_records(audit_file());
}

std::size_t Agent::count_audit(std::string_view member, std::string_view text) const {
    const auto records = audit();
    return static_cast<std::size_t>(
        std::ranges::count_if(records, [&](const auto& record) { return text_of(record, member) == text; }));
}

}  // namespace sallyport::test
