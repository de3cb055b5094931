// One JSON value of the host, in two flat buffers that are reused for the next one.
// Runs in:  worker
// Input:    what the parser found in the host's bytes
//
// A value is a sequence of nodes; the contents of a container follow its node. Nothing has to be freed and nothing recurses,
// however deep the host nests.
#pragma once

#include <bit>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace sallyport::worker {

enum class JsonKind : std::uint8_t { kNull, kBool, kInt, kUint, kDouble, kString, kArray, kObject };

class JsonValue;

class JsonDocument {
public:
    void clear();

    // Building, in the order of the text. A string or key is added as parts of text and then add_text().
    void add_null() { add(JsonKind::kNull, 0, 0); }
    void add_bool(bool value) { add(JsonKind::kBool, 0, value ? 1 : 0); }
    void add_int(std::int64_t value) { add(JsonKind::kInt, 0, static_cast<std::uint64_t>(value)); }
    void add_uint(std::uint64_t value) { add(JsonKind::kUint, 0, value); }
    void add_double(double value) { add(JsonKind::kDouble, 0, std::bit_cast<std::uint64_t>(value)); }
    void extend_text(std::string_view part) { text_.append(part); }
    void add_text();
    void open(JsonKind container);
    /// Ends the innermost container. False if it is an object with a duplicate member name.
    [[nodiscard]] bool close(std::size_t members);

    /// The text since the last add_text().
    [[nodiscard]] std::string_view new_text() const { return std::string_view(text_).substr(taken_); }
    void drop_new_text() { text_.resize(taken_); }
    [[nodiscard]] std::size_t depth() const { return open_.size(); }

    /// The whole value. Views into it are valid until the next clear().
    [[nodiscard]] JsonValue root() const;

    /// Gives away all text, for a value whose data is too long to copy. No text can be read here afterwards. A string that was
    /// `part` is now in `into`, at the returned offset.
    std::size_t release_text(std::string_view part, std::string& into);

private:
    friend class JsonValue;
    struct Node {
        std::uint64_t bits = 0;  // the number; a string's offset; the index after a container
        std::uint32_t size = 0;  // a string's bytes, a container's members
        JsonKind kind = JsonKind::kNull;
    };
    void add(JsonKind kind, std::size_t size, std::uint64_t bits);
    [[nodiscard]] bool has_duplicate_key(std::uint32_t object) const;

    std::vector<Node> nodes_;
    std::string text_;
    std::size_t taken_ = 0;
    std::vector<std::uint32_t> open_;
};

/// A value inside a document. Cheap to copy.
class JsonValue {
public:
    JsonValue(const JsonDocument& document, std::uint32_t at) : document_(&document), at_(at) {}

    [[nodiscard]] JsonKind kind() const { return node().kind; }
    [[nodiscard]] bool boolean() const { return node().bits != 0; }
    [[nodiscard]] std::int64_t integer() const { return static_cast<std::int64_t>(node().bits); }
    [[nodiscard]] std::uint64_t unsigned_integer() const { return node().bits; }
    [[nodiscard]] double number() const { return std::bit_cast<double>(node().bits); }
    [[nodiscard]] std::string_view text() const {
        return std::string_view(document_->text_).substr(node().bits, node().size);
    }
    /// The number of members of an object or elements of an array.
    [[nodiscard]] std::size_t size() const { return node().size; }
    /// The first element, or the first member's key; only if size() is not 0.
    [[nodiscard]] JsonValue child() const { return {*document_, at_ + 1}; }
    /// The value that follows this one in its container.
    [[nodiscard]] JsonValue next() const;
    /// The object's member with that name.
    [[nodiscard]] std::optional<JsonValue> member(std::string_view name) const;

private:
    [[nodiscard]] const JsonDocument::Node& node() const { return document_->nodes_[at_]; }
    const JsonDocument* document_;
    std::uint32_t at_;
};

/// Calls `use(name, value)` for each member of `object`.
template <typename Use>
void for_each_member(JsonValue object, Use use) {
    JsonValue key = object.child();
    for (std::size_t left = object.size(); left > 0; --left) {
        const JsonValue value = key.next();
        use(key.text(), value);
        key = value.next();
    }
}

}  // namespace sallyport::worker
