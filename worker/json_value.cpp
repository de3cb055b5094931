#include "worker/json_value.hpp"

#include <algorithm>
#include <cstring>

#include "worker/kept.hpp"

namespace sallyport::worker {

namespace {

// up to this many keys are compared pairwise; more are sorted
constexpr std::size_t kFewKeys = 16;

}  // namespace

// The text may be a password.
void JsonDocument::clear() {
    ::explicit_bzero(text_.data(), text_.size());
    empty(nodes_);
    empty(text_);
    taken_ = 0;
    empty(open_);
}

void JsonDocument::add(JsonKind kind, std::size_t size, std::uint64_t bits) {
    nodes_.push_back({.bits = bits, .size = static_cast<std::uint32_t>(size), .kind = kind});
}

void JsonDocument::add_text() {
    add(JsonKind::kString, text_.size() - taken_, taken_);
    taken_ = text_.size();
}

void JsonDocument::open(JsonKind container) {
    open_.push_back(static_cast<std::uint32_t>(nodes_.size()));
    add(container, 0, 0);
}

bool JsonDocument::close(std::size_t members) {
    const std::uint32_t at = open_.back();
    open_.pop_back();
    nodes_[at].size = static_cast<std::uint32_t>(members);
    nodes_[at].bits = nodes_.size();
    return nodes_[at].kind != JsonKind::kObject || !has_duplicate_key(at);
}

bool JsonDocument::has_duplicate_key(std::uint32_t object) const {
    std::vector<std::string_view> keys;
    keys.reserve(nodes_[object].size);
    for_each_member(JsonValue(*this, object),
                    [&](std::string_view name, JsonValue) { keys.push_back(name); });
    if (keys.size() > kFewKeys) {
        std::ranges::sort(keys);
        return std::ranges::adjacent_find(keys) != keys.end();
    }
    for (auto one = keys.begin(); one != keys.end(); ++one)
        if (std::find(keys.begin(), one, *one) != one) return true;
    return false;
}

JsonValue JsonDocument::root() const {
    return {*this, 0};
}

std::size_t JsonDocument::release_text(std::string_view part, std::string& into) {
    const auto offset = static_cast<std::size_t>(part.data() - text_.data());
    into.swap(text_);
    clear();
    return offset;
}

JsonValue JsonValue::next() const {
    const bool holds_others = kind() == JsonKind::kArray || kind() == JsonKind::kObject;
    return {*document_, holds_others ? static_cast<std::uint32_t>(node().bits) : at_ + 1};
}

std::optional<JsonValue> JsonValue::member(std::string_view name) const {
    std::optional<JsonValue> found;
    for_each_member(*this, [&](std::string_view key, JsonValue value) {
        if (key == name) found = value;
    });
    return found;
}

}  // namespace sallyport::worker
