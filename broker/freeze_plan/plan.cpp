// Which file systems would be frozen, in which order, and which not and why.
// Runs in:  a child of the guard without capabilities; sallyport-policy freeze-plan
#include "broker/freeze_plan/plan.hpp"

#include <algorithm>
#include <charconv>
#include <map>
#include <optional>
#include <ranges>
#include <utility>

#include "ipc/limits.hpp"

namespace sallyport::freeze_plan {

namespace {

using Texts = google::protobuf::RepeatedPtrField<std::string>;

constexpr std::size_t kMaxMounts = 65'536;

// Takes the text up to the next space from `rest`.
std::string_view take_word(std::string_view& rest) {
    const std::size_t end = std::min(rest.find(' '), rest.size());
    const std::string_view word = rest.substr(0, end);
    rest.remove_prefix(std::min(end + 1, rest.size()));
    return word;
}

template <typename Number>
bool parse_number(std::string_view text, Number& number) {
    const auto [end, error] = std::from_chars(text.begin(), text.end(), number);
    return error == std::errc() && end == text.end();
}

bool parse_device(std::string_view text, Device& device) {
    const std::size_t colon = std::min(text.find(':'), text.size());
    return parse_number(text.substr(0, colon), device.major) &&
           parse_number(text.substr(std::min(colon + 1, text.size())), device.minor);
}

// The kernel writes space, tab, line end, '#' and backslash as a backslash and three octal digits.
std::string unescape(std::string_view text) {
    std::string plain;
    for (std::size_t at = 0; at < text.size(); ++at) {
        const std::string_view digits = text.substr(at + 1, 3);
        unsigned code = 0;
        const auto parsed = std::from_chars(digits.begin(), digits.end(), code, 8);
        if (text[at] != '\\' || digits.size() < 3 || parsed.ptr != digits.end() || code > 0xFFU) {
            plain.push_back(text[at]);
        } else {
            plain.push_back(static_cast<char>(code));
            at += 3;
        }
    }
    return plain;
}

// ID PARENT MAJOR:MINOR ROOT POINT OPTIONS [TAG...] - TYPE SOURCE SUPER_OPTIONS
std::optional<Mount> parse_line(std::string_view line) {
    Mount mount;
    if (!parse_number(take_word(line), mount.id)) return std::nullopt;
    if (!parse_number(take_word(line), mount.parent)) return std::nullopt;
    if (!parse_device(take_word(line), mount.device)) return std::nullopt;
    take_word(line);
    mount.point = unescape(take_word(line));
    while (take_word(line) != "-")
        if (line.empty()) return std::nullopt;
    mount.type = unescape(take_word(line));
    mount.source = unescape(take_word(line));
    if (!mount.point.starts_with('/') || mount.type.empty()) return std::nullopt;
    return mount;
}

bool has(const Texts& list, const std::string& text) {
    return std::ranges::find(list, text) != list.end();
}

template <typename Test>
bool any_mount(const FileSystem& system, Test test) {
    return std::ranges::any_of(system.mounts, test);
}

bool is_local(const Mount& mount) {
    if (mount.type.starts_with("fuse")) return false;
    return mount.device.major != 0 || (mount.type == "btrfs" && mount.source.starts_with('/'));
}

const char* why_skipped(const FileSystem& system, const ipc::FreezeSelection& selection) {
    const auto in = [&](const Texts& list, std::string Mount::* text) {
        return any_mount(system, [&](const Mount& mount) { return has(list, mount.*text); });
    };
    if (in(selection.exclude(), &Mount::point)) return "its mount point is excluded";
    if (in(selection.exclude_types(), &Mount::type)) return "its type is excluded";
    if (in(selection.exclude_sources(), &Mount::source)) return "its source is excluded";
    const bool by_point = in(selection.mounts(), &Mount::point);
    const bool by_type = in(selection.types(), &Mount::type);
    const bool by_source = in(selection.sources(), &Mount::source);
    if (!selection.mounts().empty() && !by_point) return "no mount point of it is among 'mounts'";
    if (!selection.types().empty() && !by_type) return "its type is not among 'types'";
    if (!selection.sources().empty() && !by_source) return "its source is not among 'sources'";
    if (!is_local(system.mounts.front()) && !by_point && !by_type && !by_source)
        return "not a local file system, and not named";
    return nullptr;
}

// All mounts, by the mount that they are mounted on.
class Tree {
public:
    explicit Tree(const std::vector<Mount>& mounts) {
        for (const Mount& mount : mounts) {
            by_id_.emplace(mount.id, &mount);
            by_place_.emplace(std::pair(mount.parent, std::string_view(mount.point)), &mount);
        }
    }
    // Whether a look-up of the mount point ends in another mount. FUSE mounts do not count, since ordinary users can make them.
    [[nodiscard]] bool is_covered(const Mount& mount) const {
        if (covers(mount.id, mount.point)) return true;
        const Mount* at = &mount;
        for (std::size_t steps = 0; steps < by_id_.size(); ++steps) {
            const auto parent = by_id_.find(at->parent);
            if (parent == by_id_.end() || parent->second == at) return false;
            if (is_covered_on(*parent->second, at->point)) return true;
            at = parent->second;
        }
        return false;
    }

private:
    [[nodiscard]] bool covers(std::uint64_t on, std::string_view point) const {
        const auto found = by_place_.find(std::pair(on, point));
        return found != by_place_.end() && !found->second->type.starts_with("fuse");
    }
    // Whether another mount on the same parent covers the way from there to `point`.
    [[nodiscard]] bool is_covered_on(const Mount& parent, std::string_view point) const {
        while (point.size() > 1) {
            point = point.substr(0, std::max<std::size_t>(point.rfind('/'), 1));
            if (point.size() < parent.point.size()) return false;
            if (covers(parent.id, point)) return true;
        }
        return false;
    }

    std::map<std::uint64_t, const Mount*> by_id_;
    std::map<std::pair<std::uint64_t, std::string_view>, const Mount*> by_place_;
};

bool is_covered(const FileSystem& system, const ipc::FreezeSelection& selection, const Tree& tree) {
    return std::ranges::all_of(system.mounts, [&](const Mount& mount) {
        const bool is_named = selection.mounts().empty() || has(selection.mounts(), mount.point);
        return !is_named || tree.is_covered(mount);
    });
}

// The mount that a path lies on: the one with the longest matching mount point, the last if there are several.
const Mount* mount_of(const std::vector<Mount>& mounts, std::string_view path) {
    const Mount* found = nullptr;
    for (const Mount& mount : mounts) {
        const std::string_view point = mount.point == "/" ? std::string_view() : mount.point;
        const bool holds = path.starts_with(point) && path.substr(point.size()).starts_with('/');
        if (holds && (found == nullptr || mount.point.size() >= found->point.size())) found = &mount;
    }
    return found;
}

struct Node {
    FileSystem system;
    std::vector<Device> lies_on;
    bool is_placed = false;
};

// Places everything that lies on the node, then the node itself. A cycle ends where it began.
void place(std::vector<Node>& nodes, Node& node, std::vector<FileSystem>& order) {
    if (node.is_placed) return;
    node.is_placed = true;
    for (Node& other : nodes | std::views::reverse)
        if (std::ranges::find(other.lies_on, node.system.device) != other.lies_on.end()) {
            place(nodes, other, order);
            node.system.level = std::max(node.system.level, other.system.level + 1);
        }
    order.push_back(std::move(node.system));
}

}  // namespace

Result<std::vector<Mount>> parse_mounts(std::string_view text) {
    std::vector<Mount> mounts;
    while (!text.empty()) {
        const std::size_t end = std::min(text.find('\n'), text.size());
        auto mount = parse_line(text.substr(0, end));
        if (!mount) return failure(Errc::kInvalid, "mountinfo: a line is not of the known form");
        if (mounts.size() == kMaxMounts) return failure(Errc::kLimit, "mountinfo: too many mounts");
        mounts.push_back(*std::move(mount));
        text.remove_prefix(std::min(end + 1, text.size()));
    }
    return mounts;
}

std::vector<FileSystem> plan(const std::vector<Mount>& mounts, const ipc::FreezeSelection& selection,
                             const BackingFiles& backing) {
    std::vector<Node> nodes;
    for (const Mount& mount : mounts) {
        const auto known =
            std::ranges::find(nodes, mount.device, [](const Node& node) { return node.system.device; });
        Node& node = known == nodes.end() ? nodes.emplace_back() : *known;
        node.system.device = mount.device;
        node.system.mounts.push_back(mount);
    }
    const Tree tree(mounts);
    for (Node& node : nodes) {
        node.system.skipped = why_skipped(node.system, selection);
        node.system.is_covered = node.system.skipped == nullptr && is_covered(node.system, selection, tree);
        if (node.system.is_covered) node.system.skipped = "other mounts cover it";
        if (!is_local(node.system.mounts.front())) continue;
        for (const std::string& file : backing(node.system.mounts.front()))
            if (const Mount* below = mount_of(mounts, file)) node.lies_on.push_back(below->device);
    }
    std::vector<FileSystem> order;
    for (Node& node : nodes | std::views::reverse) place(nodes, node, order);
    std::ranges::stable_sort(order, {}, &FileSystem::level);
    return order;
}

}  // namespace sallyport::freeze_plan
