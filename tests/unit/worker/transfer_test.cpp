// File contents: parts through the arena, in both directions.
#include <absl/strings/escaping.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cerrno>
#include <random>
#include <span>
#include <thread>

#include "ipc/limits.hpp"
#include "tests/unit/worker/served.hpp"

namespace sallyport::worker::test {
namespace {

std::string random_bytes(std::size_t size) {
    std::mt19937 random(3);
    std::string bytes(size, '\0');
    for (char& one : bytes) one = static_cast<char>(random());
    return bytes;
}

// The broker's part of a read: as the real one, with at most kChunks parts that the worker has not used.
class Reading {
public:
    Reading(Served& served, std::string contents, std::size_t part = kChunk)
        : served_(served),
          rest_(std::move(contents)),
          part_(part),
          total_(rest_.size()),
          seq_(served.asked().seq()) {}

    [[nodiscard]] bool has_more() const { return rest_.size() > part_; }

    void send_part() {
        ipc::Reply reply = filled(part_);
        reply.mutable_more();
        served_.reply(reply);
        ++in_flight_;
    }

    // Everything that can be sent without waiting longer than that for the worker.
    void send_parts(int wait_ms) {
        while (has_more()) {
            if (in_flight_ == kChunks && !served_.is_asked(wait_ms)) return;
            if (in_flight_ == kChunks || served_.is_asked(0)) take_used();
            send_part();
        }
    }

    void take_used() {
        const ipc::Request used = served_.asked();
        EXPECT_TRUE(used.has_chunk_used());
        EXPECT_EQ(used.seq(), seq_);
        --in_flight_;
    }

    void finish(bool eof) {
        ipc::Reply reply = filled(rest_.size());
        reply.mutable_file_read()->set_count(static_cast<std::int64_t>(total_));
        reply.mutable_file_read()->set_eof(eof);
        served_.reply(reply);
    }

    [[nodiscard]] std::size_t in_flight() const { return in_flight_; }
    [[nodiscard]] std::size_t left() const { return rest_.size(); }

private:
    ipc::Reply filled(std::size_t size) {
        ipc::Reply reply;
        reply.set_seq(seq_);
        if (size == 0) return reply;
        std::ranges::copy(std::as_bytes(std::span(rest_).first(size)), served_.arena().chunk(next_).begin());
        reply.mutable_data()->set_offset(static_cast<std::uint32_t>(next_ * kChunk));
        reply.mutable_data()->set_size(static_cast<std::uint32_t>(size));
        rest_.erase(0, size);
        next_ = (next_ + 1) % kChunks;
        return reply;
    }

    Served& served_;
    std::string rest_;
    std::size_t part_;
    std::size_t total_;
    std::uint64_t seq_;
    std::size_t next_ = 0;
    std::size_t in_flight_ = 0;
};

std::string read_request(std::size_t count) {
    return request("guest-file-read", R"({"handle":1000,"count":)" + std::to_string(count) + "}");
}

TEST(Read, OfOnePartHasUpstreamsOrderOfMembers) {
    Served served;
    served.say(read_request(5));
    Reading(served, "hello").finish(true);
    EXPECT_EQ(served.line(), R"({"return": {"count": 5, "buf-b64": "aGVsbG8=", "eof": true}})");
}

TEST(Read, OfNothingIsAnEmptyString) {
    Served served;
    served.say(read_request(0));
    Reading(served, "").finish(false);
    EXPECT_EQ(served.line(), R"({"return": {"count": 0, "buf-b64": "", "eof": false}})");
}

class ReadInParts : public testing::TestWithParam<std::size_t> {};

TEST_P(ReadInParts, IsOneBase64Text) {
    Served served;
    const std::string contents = random_bytes(3'000'001);
    served.say(R"({"execute":"guest-file-read","arguments":{"handle":1000,"count":4000000},"id":1})" +
               ping());
    Reading reading(served, contents, GetParam());
    std::string line;
    std::thread host([&] { line = served.line(); });
    while (reading.has_more()) {
        reading.send_part();
        reading.take_used();
    }
    reading.finish(true);
    host.join();
    EXPECT_EQ(line, R"({"return": {"buf-b64": ")" + absl::Base64Escape(contents) +
                        R"(", "count": 3000001, "eof": true}, "id": 1})");
    EXPECT_EQ(served.line(), kPong);
}

INSTANTIATE_TEST_SUITE_P(, ReadInParts, testing::Values(kChunk, kChunk - 1, kChunk - 2, 100'000));

TEST(Read, IsNotTakenFurtherThanTheHostReads) {
    Served served;
    const std::string contents = random_bytes(std::size_t{48} << 20U);
    served.say(read_request(contents.size()));
    Reading reading(served, contents);
    reading.send_parts(1000);
    EXPECT_EQ(reading.in_flight(), kChunks);
    EXPECT_GT(reading.left(), contents.size() - 2 * (kArenaData + kMaxUnsent));
    std::string line;
    while (reading.has_more()) {
        served.wait_for_either();
        while (served.host_has_input(0)) line += served.bytes(1);
        reading.send_parts(0);
    }
    reading.finish(false);
    line += served.line();
    EXPECT_EQ(line, R"({"return": {"buf-b64": ")" + absl::Base64Escape(contents) +
                        R"(", "count": 50331648, "eof": false}})");
}

TEST(Read, GivenUpHalfwayIsAShortReadAndGoesOnUnseen) {
    Served served;
    const std::string contents = random_bytes(3 * kChunk);
    served.say(read_request(contents.size()));
    Reading reading(served, contents);
    reading.send_part();
    reading.take_used();
    served.say("\xFF" + sync(8) + open_file());
    EXPECT_EQ(served.line(), R"({"return": {"buf-b64": ")" + absl::Base64Escape(contents.substr(0, kChunk)) +
                                 R"(", "count": 262144, "eof": false}})");
    EXPECT_EQ(served.line(), "{\"return\": 8}");
    EXPECT_EQ(served.line(), kBusy);
    reading.send_part();
    reading.take_used();
    reading.finish(true);
    EXPECT_EQ(served.asked().reply_dropped().seq(), 1U);
    served.say(ping());
    EXPECT_EQ(served.line(), kPong);
}

std::string write_request(std::string_view bytes) {
    return request("guest-file-write",
                   R"({"handle":1000,"buf-b64":")" + absl::Base64Escape(std::string(bytes)) + "\"}");
}

std::string part_of(const Served& served, const ipc::Extent& extent) {
    const auto part = served.arena().extent(extent.offset(), extent.size());
    std::string bytes;
    for (const std::byte one : part.value_or(std::span<std::byte>())) bytes += static_cast<char>(one);
    return bytes;
}

ipc::Reply written(std::uint64_t seq, std::size_t count) {
    ipc::Reply reply;
    reply.set_seq(seq);
    reply.mutable_file_write()->set_count(static_cast<std::int64_t>(count));
    return reply;
}

TEST(Write, OfOnePartIsOneFrame) {
    Served served;
    served.say(request("guest-file-write", R"({"handle":1000,"count":3,"buf-b64":"aGVs\nbG8="})"));
    const ipc::Request asked = served.asked();
    EXPECT_EQ(asked.bulk().total(), 5U);
    EXPECT_EQ(asked.file_write().count(), 3);
    EXPECT_EQ(asked.file_write().buf_b64(), "");
    EXPECT_EQ(part_of(served, asked.bulk().first()), "hello");
    served.reply(written(asked.seq(), 3));
    EXPECT_EQ(served.line(), R"({"return": {"count": 3, "eof": false}})");
}

TEST(Write, OfNothingHasNoPart) {
    Served served;
    served.say(write_request(""));
    const ipc::Request asked = served.asked();
    EXPECT_EQ(asked.bulk().total(), 0U);
    EXPECT_FALSE(asked.bulk().has_first());
    served.reply(written(asked.seq(), 0));
    EXPECT_EQ(served.line(), R"({"return": {"count": 0, "eof": false}})");
}

// Takes the parts of a write as the real broker does, and gives back what they hold.
std::string take_parts(Served& served, const ipc::Request& first) {
    std::string all = part_of(served, first.bulk().first());
    std::size_t chunk = 1;
    while (all.size() < first.bulk().total()) {
        ipc::Reply used;
        used.set_seq(first.seq());
        used.mutable_chunk_used();
        served.reply(used);
        const ipc::Request next = served.asked();
        EXPECT_EQ(next.seq(), first.seq());
        EXPECT_EQ(next.chunk_filled().data().offset(), chunk * kChunk);
        EXPECT_LE(next.chunk_filled().data().size(), kChunk);
        all += part_of(served, next.chunk_filled().data());
        chunk = (chunk + 1) % kChunks;
    }
    return all;
}

TEST(Write, OfManyPartsGoesRoundTheArena) {
    Served served;
    const std::string contents = random_bytes(5'000'000);
    std::thread host([&] { served.say(write_request(contents) + ping()); });
    const ipc::Request asked = served.asked();
    EXPECT_EQ(asked.bulk().total(), contents.size());
    EXPECT_TRUE(take_parts(served, asked) == contents);
    served.reply(written(asked.seq(), contents.size()));
    EXPECT_EQ(served.line(), R"({"return": {"count": 5000000, "eof": false}})");
    EXPECT_EQ(served.line(), kPong);
    host.join();
}

TEST(Write, HasAtMostFourPartsUnderWay) {
    Served served;
    std::thread host([&] { served.say(write_request(random_bytes(3'000'000))); });
    const ipc::Request asked = served.asked();
    for (std::size_t at = 1; at < kChunks; ++at) EXPECT_TRUE(served.asked().has_chunk_filled());
    EXPECT_FALSE(served.is_asked(200));
    host.join();
}

TEST(Write, ThatFailsEarlySendsNoMoreParts) {
    Served served;
    std::thread host([&] { served.say(write_request(random_bytes(3'000'000)) + open_file()); });
    const ipc::Request asked = served.asked();
    for (std::size_t at = 1; at < kChunks; ++at) EXPECT_TRUE(served.asked().has_chunk_filled());
    ipc::Reply reply;
    reply.set_seq(asked.seq());
    reply.mutable_error()->set_reason(ipc::SYSTEM);
    reply.mutable_error()->set_sys_errno(ENOSPC);
    served.reply(reply);
    EXPECT_EQ(
        served.line(),
        R"({"error": {"class": "GenericError", "desc": "failed to write to file: No space left on device"}})");
    EXPECT_TRUE(served.asked().has_file_open());
    host.join();
}

TEST(Write, GivenUpIsStillWrittenWhole) {
    Served served;
    const std::string contents = random_bytes(2'000'000);
    std::thread host([&] { served.say(write_request(contents)); });
    const ipc::Request asked = served.asked();
    host.join();
    served.say("\xFF" + sync(6));
    EXPECT_EQ(served.line(), kGivenUp);
    EXPECT_EQ(served.line(), "{\"return\": 6}");
    EXPECT_TRUE(take_parts(served, asked) == contents);
    served.reply(written(asked.seq(), contents.size()));
    EXPECT_EQ(served.asked().reply_dropped().seq(), asked.seq());
}

std::string freeze_list(std::size_t points) {
    std::string list = "\"/mnt/first\"";
    for (std::size_t at = 1; at < points; ++at) list += ",\"/mnt/" + std::string(94, 'x') + "\"";
    return request("guest-fsfreeze-freeze-list", "{\"mountpoints\":[" + list + "]}");
}

TEST(MountPoints, ThatFitAFrameAreInIt) {
    Served served;
    served.say(freeze_list(600));
    const ipc::Request asked = served.asked();
    EXPECT_FALSE(asked.has_bulk());
    EXPECT_EQ(asked.fsfreeze_freeze_list().mountpoints().item_size(), 600);
}

TEST(MountPoints, ThatDoNotFitAFrameLieInTheArena) {
    Served served;
    served.say(freeze_list(2000));
    const ipc::Request asked = served.asked();
    EXPECT_FALSE(asked.fsfreeze_freeze_list().has_mountpoints());
    EXPECT_EQ(asked.bulk().total(), asked.bulk().first().size());
    EXPECT_EQ(asked.bulk().first().offset(), 0U);
    const auto bytes = served.arena().extent(0, asked.bulk().first().size());
    schema::FsfreezeFreezeList list;
    ASSERT_TRUE(list.ParseFromArray(bytes->data(), static_cast<int>(bytes->size())));
    ASSERT_EQ(list.mountpoints().item_size(), 2000);
    EXPECT_EQ(list.mountpoints().item(0), "/mnt/first");
    EXPECT_EQ(list.mountpoints().item(1999), "/mnt/" + std::string(94, 'x'));
}

TEST(MountPoints, BeyondTheirBoundAreRefused) {
    Served served;
    served.say(freeze_list(3000));
    EXPECT_EQ(served.line(),
              R"({"error": {"class": "GenericError", "desc": "Parameter 'mountpoints' is too long"}})");
}

}  // namespace
}  // namespace sallyport::worker::test
