#include "tests/freeze/freezing.hpp"

#include <fcntl.h>
#include <linux/userfaultfd.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <boost/json/parse.hpp>
#include <csignal>
#include <cstdint>

namespace sallyport::test {

namespace {

std::int64_t count_of(const std::string& reply) {
    return result_of(reply).to_number<std::int64_t>();
}

constexpr std::size_t kPage = 4096;

// Memory whose pages nobody brings.
void* memory_without_pages() {
    const auto faults = static_cast<int>(::syscall(SYS_userfaultfd, O_CLOEXEC));
    void* memory = ::mmap(nullptr, kPage, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    uffdio_api api{.api = UFFD_API, .features = 0, .ioctls = 0};
    uffdio_register pages{};
    pages.range.start = reinterpret_cast<std::uintptr_t>(memory);
    pages.range.len = kPage;
    pages.mode = UFFDIO_REGISTER_MODE_MISSING;
    if (::ioctl(faults, UFFDIO_API, &api) != 0 || ::ioctl(faults, UFFDIO_REGISTER, &pages) != 0) ::_exit(3);
    return memory;
}

}  // namespace

HeldInACall::HeldInACall(const std::function<void(void* page)>& call)
    : child_(std::make_unique<Child>([&call] {
          call(memory_without_pages());
          return 1;
      })) {}

bool HeldInACall::is_held() const {
    const std::string waits_in = "/proc/" + std::to_string(child_->pid()) + "/wchan";
    return eventually([&] {
               return child_->has_ended() || read_file(waits_in).find("userfault") != std::string::npos;
           }) &&
           !child_->has_ended();
}

void HeldInACall::end() {
    child_->signal(SIGKILL);
    child_->wait();
}

std::string freeze_policy(const std::string& freeze) {
    return "schema = 1\n[[allow]]\nid = \"backup\"\ncommands = [\"@freeze\"]\nfreeze = { " + freeze + " }\n";
}

std::string ask(HostClient& host, std::string_view name, std::string_view arguments) {
    return host.ask(command(name, arguments), milliseconds(30'000));
}

std::int64_t freeze(HostClient& host) {
    return count_of(ask(host, "guest-fsfreeze-freeze"));
}

std::int64_t thaw(HostClient& host) {
    return count_of(ask(host, "guest-fsfreeze-thaw"));
}

std::string status(HostClient& host) {
    return std::string(result_of(ask(host, "guest-fsfreeze-status")).as_string());
}

pid_t guard_of(Agent& agent) {
    for (const pid_t child : children_of(agent.broker().pid()))
        if (name_of(child) == "sallyport-guard") return child;
    return -1;
}

std::vector<pid_t> family_of(Agent& agent) {
    auto children = children_of(guard_of(agent));
    std::ranges::sort(children);
    return children;
}

std::vector<std::unique_ptr<LoopFs>> make_systems(std::size_t count, const std::string& type) {
    std::vector<std::unique_ptr<LoopFs>> systems;
    for (std::size_t at = 0; at < count; ++at)
        systems.push_back(
            std::make_unique<LoopFs>(LoopFs::Wanted{.type = type,
                                                    .name = "fs" + std::to_string(at),
                                                    .size = type == "ext4" ? 16UL << 20U : 512UL << 20U}));
    return systems;
}

bool all_are_writable(const std::vector<std::unique_ptr<LoopFs>>& systems, milliseconds patience) {
    const Deadline deadline(patience);
    return std::ranges::all_of(systems, [&](const auto& system) {
        return is_writable(system->point(), milliseconds(std::max(1, deadline.left_ms())));
    });
}

}  // namespace sallyport::test
