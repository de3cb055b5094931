// Runs in:  broker, files, starter; the policy tool
#include "policy/guest_path.hpp"

#include <algorithm>
#include <vector>

#include "ipc/limits.hpp"

namespace sallyport::policy {

namespace {

/// Adds the components of `path` to `kept`, as the kernel would walk them without links: above "/" is "/".
void walk(std::string_view path, std::vector<std::string_view>& kept) {
    for (std::size_t at = 0; at < path.size();) {
        const std::size_t end = std::min(path.find('/', at), path.size());
        const std::string_view component = path.substr(at, end - at);
        at = end + 1;
        if (component.empty() || component == ".") continue;
        if (component != "..") {
            kept.push_back(component);
        } else if (!kept.empty()) {
            kept.pop_back();
        }
    }
}

}  // namespace

Result<GuestPath> GuestPath::parse(std::string_view raw, std::string_view start_directory) {
    if (raw.empty()) return failure(Errc::kInvalid, "path: empty");
    if (raw.size() > kMaxPath) return failure(Errc::kLimit, "path: too long");
    if (raw.find('\0') != raw.npos) return failure(Errc::kInvalid, "path: NUL byte");

    std::vector<std::string_view> components;
    if (raw.front() != '/') walk(start_directory, components);
    walk(raw, components);

    std::string text;
    for (const std::string_view component : components) text.append(1, '/').append(component);
    if (text.empty()) text.push_back('/');
    if (text.size() > kMaxPath) return failure(Errc::kLimit, "path: too long");
    return GuestPath(std::move(text));
}

std::string_view GuestPath::below(std::string_view directory) const {
    SALLYPORT_CHECK(is_within(directory));
    const std::string_view rest = std::string_view(text_).substr(directory == "/" ? 0 : directory.size());
    return rest.size() <= 1 ? std::string_view(".") : rest.substr(1);
}

}  // namespace sallyport::policy
