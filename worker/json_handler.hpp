// The callbacks of Boost.JSON's parser: build a document, and refuse what the grammar alone would allow.
// Runs in:  worker
// Input:    tokens of the host
#pragma once

#include <boost/json/basic_parser.hpp>
#include <cstddef>
#include <cstdint>

#include "worker/json_value.hpp"

namespace sallyport::worker {

/// Why the handler, not the parser, refused a value.
enum class Fault : std::uint8_t { kNone, kTokens, kSize, kDuplicateKey, kNul, kNoncharacter };

class JsonHandler {
public:
    using error_code = boost::json::error_code;
    using string_view = boost::json::string_view;

    // The real limits are those of Framing::next().
    static constexpr std::size_t max_array_size = static_cast<std::size_t>(-1);
    static constexpr std::size_t max_object_size = static_cast<std::size_t>(-1);
    static constexpr std::size_t max_string_size = static_cast<std::size_t>(-1);
    static constexpr std::size_t max_key_size = static_cast<std::size_t>(-1);

    bool on_document_begin(error_code& error);
    bool on_document_end(error_code& error);
    bool on_array_begin(error_code& error);
    bool on_array_end(std::size_t count, error_code& error);
    bool on_object_begin(error_code& error);
    bool on_object_end(std::size_t count, error_code& error);
    bool on_string_part(string_view part, std::size_t size, error_code& error);
    bool on_string(string_view part, std::size_t size, error_code& error);
    bool on_key_part(string_view part, std::size_t size, error_code& error);
    bool on_key(string_view part, std::size_t size, error_code& error);
    bool on_number_part(string_view part, error_code& error);
    bool on_int64(std::int64_t value, string_view part, error_code& error);
    bool on_uint64(std::uint64_t value, string_view part, error_code& error);
    bool on_double(double value, string_view part, error_code& error);
    bool on_bool(bool value, error_code& error);
    bool on_null(error_code& error);
    bool on_comment_part(string_view part, error_code& error);
    bool on_comment(string_view part, error_code& error);

    JsonDocument& document() { return document_; }
    [[nodiscard]] Fault fault() const { return fault_; }
    /// Whether the value is complete. The parser itself would know only after the next byte.
    [[nodiscard]] bool is_complete() const { return complete_; }
    /// Drops the value.
    void clear();

private:
    bool refuse(Fault fault, error_code& error);
    bool count(std::size_t tokens, std::size_t bytes, error_code& error);
    bool add_part(string_view part, error_code& error);
    bool end_text(string_view part, error_code& error);
    bool open(JsonKind container, error_code& error);
    bool close(std::size_t count, error_code& error);
    bool end_value() {
        complete_ = document_.depth() == 0;
        return true;
    }

    JsonDocument document_;
    std::size_t tokens_ = 0;
    std::size_t size_ = 0;
    bool non_ascii_ = false;
    bool complete_ = false;
    Fault fault_ = Fault::kNone;
};

}  // namespace sallyport::worker
