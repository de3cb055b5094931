#include "tests/e2e/side_by_side.hpp"

#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#include <cstring>
#include <filesystem>
#include <fstream>
#include <map>
#include <sstream>
#include <stdexcept>

namespace sallyport::test {

namespace fs = std::filesystem;

namespace {

void replace_all(std::string& text, const std::string& from, const std::string& to) {
    for (std::size_t at = 0; (at = text.find(from, at)) != std::string::npos; at += to.size())
        text.replace(at, from.size(), to);
}

void put(const fs::path& file, std::string_view contents) {
    std::ofstream(file, std::ios::binary) << contents;
    fs::permissions(file, fs::perms(0644));
}

void make_socket(const std::string& path) {
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    std::memcpy(address.sun_path, path.data(), path.size());
    const UniqueFd socket(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
    if (::bind(socket.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0)
        throw std::runtime_error("bind " + path);
}

void fill_folder(const fs::path& folder) {
    fs::remove_all(folder);
    fs::create_directories(folder / "sub" / "deep");
    put(folder / "text", "hello world01234");
    put(folder / "empty", "");
    std::string ten;
    for (int at = 0; at < 10'000; ++at) ten.push_back(static_cast<char>(at * 7 % 256));
    put(folder / "ten", ten);
    put(folder / "page", ten.substr(0, 4096));
    put(folder / "sub" / "inner", "inside");
    fs::create_symlink("text", folder / "link");
    fs::create_symlink("sub", folder / "sublink");
    fs::create_symlink("nowhere", folder / "dangling");
    fs::create_symlink("loop", folder / "loop");
    fs::create_hard_link(folder / "text", folder / "hard");
    if (::mkfifo((folder / "fifo").c_str(), 0644) != 0) throw std::runtime_error("mkfifo");
    make_socket(folder / "socket");
}

std::string describe(const fs::path& folder) {
    std::map<std::string, std::string> lines;
    for (const auto& entry : fs::recursive_directory_iterator(folder)) {
        const auto status = entry.symlink_status();
        std::string line = std::to_string(static_cast<unsigned>(status.permissions()));
        if (status.type() == fs::file_type::regular) line += " " + read_file(entry.path());
        lines[entry.path().lexically_relative(folder)] = line;
    }
    std::string text;
    for (const auto& [name, line] : lines) text += name + " " + line + "\n";
    return text;
}

}  // namespace

Side::Side(std::string folder, HostClient host) : folder_(std::move(folder)), host_(std::move(host)) {}

std::string Side::answer(std::string step, std::vector<std::string>& handles) {
    replace_all(step, "$D", folder_);
    for (std::size_t at = 0; at < handles.size(); ++at)
        replace_all(step, "$" + std::to_string(at + 1), handles[at]);
    // What was not opened has no handle; any number that was never given out stands for it.
    constexpr std::size_t kMostHandles = 9;
    for (std::size_t at = handles.size(); at < kMostHandles; ++at)
        replace_all(step, "$" + std::to_string(at + 1), "77");
    const std::string lines = host_.ask_all(step);
    std::string shown = lines;
    constexpr std::string_view kResult = "{\"return\": ";
    if (step.contains("guest-file-open") && lines.starts_with(kResult)) {
        handles.push_back(std::to_string(handle_of(lines.substr(0, lines.find('\n')))));
        replace_all(shown, handles.back(), "$" + std::to_string(handles.size()));
    }
    for (std::size_t at = 0; at < handles.size(); ++at)
        replace_all(shown, "'" + handles[at] + "'", "'$" + std::to_string(at + 1) + "'");
    replace_all(shown, folder_, "$D");
    return shown;
}

Outcome Side::play(const std::vector<std::string>& steps) {
    fill_folder(folder_);
    Outcome outcome;
    std::vector<std::string> handles;
    for (const std::string& step : steps) outcome.replies.push_back(answer(step, handles));
    for (const std::string& handle : handles) host_.ask_all(close(handle));
    outcome.folder = describe(folder_);
    return outcome;
}

namespace {

AgentOptions on(const Terminal& terminal) {
    AgentOptions options{.policy = "schema = 1\ninclude = [\"profile:compat\"]\n"};
    options.own_channel = terminal.path.empty();
    if (!options.own_channel) options.words = {"-m", "isa-serial", "-p", terminal.path};
    return options;
}

HostClient host_of(Terminal& terminal, const std::string& socket) {
    return terminal.path.empty() ? HostClient(socket) : HostClient(std::move(terminal.master));
}

}  // namespace

SideBySide::SideBySide(Wire wire)
    : qemu_terminal_(wire == Wire::kTerminal ? open_terminal() : Terminal{}),
      our_terminal_(wire == Wire::kTerminal ? open_terminal() : Terminal{}),
      qemu_(qemu_terminal_.path),
      agent_(on(our_terminal_)),
      qemu_side_(qemu_.folder(), host_of(qemu_terminal_, qemu_.socket())),
      our_side_(agent_.scratch().path("work"), host_of(our_terminal_, agent_.socket())) {
    if (!agent_.is_serving()) throw std::runtime_error("the agent does not serve: " + agent_.messages());
}

std::string without_parse_texts(const std::string& lines) {
    constexpr std::string_view kMark = "\"JSON parse error, ";
    std::istringstream stream(lines);
    std::string kept;
    for (std::string line; std::getline(stream, line);) {
        const std::size_t at = line.find(kMark);
        kept += (at == std::string::npos ? line : line.substr(0, at + kMark.size())) + "\n";
    }
    return kept;
}

std::string open(std::string_view path, std::string_view mode) {
    return command("guest-file-open",
                   members({{"path", in_quotes("$D/" + std::string(path))}, {"mode", in_quotes(mode)}}));
}

std::string close(std::string_view handle) {
    return command("guest-file-close", members({{"handle", handle}}));
}

std::string flush(std::string_view handle) {
    return command("guest-file-flush", members({{"handle", handle}}));
}

std::string read(std::string_view handle) {
    return command("guest-file-read", members({{"handle", handle}}));
}

std::string read(std::string_view handle, std::string_view count) {
    return command("guest-file-read", members({{"handle", handle}, {"count", count}}));
}

std::string write(std::string_view handle, std::string_view data) {
    return command("guest-file-write", members({{"handle", handle}, {"buf-b64", in_quotes(data)}}));
}

std::string write(std::string_view handle, std::string_view data, std::string_view count) {
    return command("guest-file-write",
                   members({{"handle", handle}, {"buf-b64", in_quotes(data)}, {"count", count}}));
}

std::string seek(std::string_view handle, std::string_view offset, std::string_view whence) {
    return command("guest-file-seek", members({{"handle", handle}, {"offset", offset}, {"whence", whence}}));
}

}  // namespace sallyport::test
