// Answers guest-file-read and guest-file-write, in parts through the arena, as replies that do not fit a frame travel too.
// Runs in:  broker, after lockdown()
// Input:    canonical requests that were in order; their values are still the worker's
// INVARIANT: at most kChunks parts of a read are in the arena unused; the worker's counting is checked
// against ours.
#include <algorithm>
#include <cerrno>
#include <cstring>

#include "broker/answer.hpp"
#include "broker/files/use.hpp"
#include "ipc/limits.hpp"

namespace sallyport::broker {

namespace {

// The transfer is over, well or not; what the worker may still say about its parts is counted.
void end_transfer(Exchange& exchange, std::size_t parts_under_way) {
    WorkerState& worker = exchange.session.worker;
    exchange.record.bytes = worker.transfer.done;
    worker.transfer.text = {};
    worker.ended_seq = worker.transfer.seq;
    worker.ended_parts = parts_under_way;
    worker.phase = Phase::kIdle;
}

// INVARIANT: no file is closed while a transfer uses it; dispatch lets nothing in that could. Were it closed, that would be
// the worker's doing: it is ended, the broker is not.
const OpenFile* file_of(Session& session) {
    const auto at = session.files.find(session.worker.transfer.handle);
    return at == session.files.end() ? nullptr : &at->second;
}
constexpr Violation kNoFile{"a transfer without its file"};

Answer ignore_if_late(WorkerState& worker, std::uint64_t seq) {
    if (seq != worker.ended_seq || worker.ended_parts == 0) return Violation{"a part of no transfer"};
    --worker.ended_parts;
    return Continues{};
}

bool would_outgrow(const OpenFile& file, std::uint64_t size) {
    if (!file.max_size || size == 0) return false;
    const auto at = files::write_position(file.fd, file.appends);
    return !at || *at > *file.max_size || size > *file.max_size - *at;
}

// Takes one part of a write out of the arena and into the file.
Answer take_part(Exchange& exchange, const ipc::Extent& extent) {
    WorkerState& worker = exchange.session.worker;
    Transfer& transfer = worker.transfer;
    const auto data = exchange.session.arena.extent(extent.offset(), extent.size());
    if (!data || data->size() > kChunk || data->size() > transfer.coming)
        return Violation{"file_write: bad extent"};
    const OpenFile* file = file_of(exchange.session);
    if (file == nullptr) return kNoFile;
    const std::size_t size = std::min<std::uint64_t>(data->size(), transfer.wanted);
    transfer.coming -= data->size();
    const std::size_t still_coming = transfer.coming == 0 ? 0 : kChunks;
    if (would_outgrow(*file, size)) {
        end_transfer(exchange, still_coming);
        return Refusal{.reason = ipc::REFUSED, .why = "the file would become larger than the rule accepts"};
    }
    const files::Written written = files::write_all(file->fd, data->first(size));
    transfer.wanted -= written.size;
    transfer.done += written.size;
    if (written.sys_errno != 0) {
        end_transfer(exchange, still_coming);
        return Refusal{.reason = ipc::SYSTEM, .sys_errno = written.sys_errno, .why = "write"};
    }
    if (transfer.coming > 0) {
        exchange.reply.mutable_chunk_used();
        return Continues{};
    }
    exchange.reply.mutable_file_write()->set_count(static_cast<std::int64_t>(transfer.done));
    end_transfer(exchange, 0);
    return Done{};
}

// The next chunk of the arena holds `size` bytes of a read.
void hand_over(Exchange& exchange, std::size_t size) {
    Transfer& transfer = exchange.session.worker.transfer;
    ipc::Extent& extent = *exchange.reply.mutable_data();
    extent.set_offset(static_cast<std::uint32_t>(transfer.next_chunk * kChunk));
    extent.set_size(static_cast<std::uint32_t>(size));
    transfer.next_chunk = (transfer.next_chunk + 1) % kChunks;
    transfer.done += size;
    transfer.wanted -= size;
}

Answer go_on(Exchange& exchange) {
    ++exchange.session.worker.transfer.in_flight;
    exchange.reply.mutable_more();
    return Continues{};
}

Answer send_reply_part(Exchange& exchange) {
    Transfer& transfer = exchange.session.worker.transfer;
    const std::size_t size = std::min<std::uint64_t>(kChunk, transfer.wanted);
    std::memcpy(exchange.session.arena.chunk(transfer.next_chunk).data(),
                transfer.text.data() + transfer.done, size);
    hand_over(exchange, size);
    if (transfer.wanted > 0) return go_on(exchange);
    exchange.reply.mutable_whole();
    end_transfer(exchange, transfer.in_flight + 1);
    return Done{};
}

}  // namespace

Answer answer_file_read(Exchange& exchange) {
    const schema::FileRead& want = exchange.request.file_read();
    const std::int64_t count = want.has_count() ? want.count() : kDefaultReadCount;
    exchange.record.arguments.add("count", count);
    if (find_file(exchange, want.handle()) == nullptr) return bad_handle();
    if (count < 0 || count > kMaxReadCount)
        return Refusal{.reason = ipc::BAD_COUNT, .why = "count out of range"};
    WorkerState& worker = exchange.session.worker;
    worker.transfer = Transfer{
        .seq = exchange.request.seq(), .handle = want.handle(), .wanted = static_cast<std::uint64_t>(count)};
    worker.phase = Phase::kReading;
    return send_part(exchange);
}

bool has_part_to_send(const Session& session) {
    return session.worker.phase == Phase::kReading && session.worker.transfer.in_flight < kChunks;
}

Answer send_part(Exchange& exchange) {
    WorkerState& worker = exchange.session.worker;
    Transfer& transfer = worker.transfer;
    if (!transfer.text.empty()) return send_reply_part(exchange);
    const OpenFile* file = file_of(exchange.session);
    if (file == nullptr) return kNoFile;
    const auto chunk = exchange.session.arena.chunk(transfer.next_chunk)
                           .first(std::min<std::uint64_t>(kChunk, transfer.wanted));
    auto got = files::read_full(file->fd, chunk, file->max_size);
    if (!got && transfer.done == 0) {
        end_transfer(exchange, 0);
        const int error = got.error().sys_errno;
        return Refusal{.reason = error == EFBIG ? ipc::REFUSED : ipc::SYSTEM,
                       .sys_errno = error,
                       .why = got.error().what};
    }
    const files::ReadResult result = got.value_or(files::ReadResult{});
    if (result.size > 0) hand_over(exchange, result.size);
    if (result.size == kChunk && transfer.wanted > 0) return go_on(exchange);
    schema::FileReadReply& reply = *exchange.reply.mutable_file_read();
    reply.set_count(static_cast<std::int64_t>(transfer.done));
    reply.set_eof(result.eof);
    end_transfer(exchange, transfer.in_flight + (result.size > 0 ? 1 : 0));
    return Done{};
}

Answer answer_chunk_used(Exchange& exchange) {
    WorkerState& worker = exchange.session.worker;
    const std::uint64_t seq = exchange.request.seq();
    if (worker.phase != Phase::kReading || seq != worker.transfer.seq) return ignore_if_late(worker, seq);
    if (worker.transfer.in_flight == 0) return Violation{"chunk_used: no part is under way"};
    --worker.transfer.in_flight;
    return Continues{};
}

Answer answer_file_write(Exchange& exchange) {
    const schema::FileWrite& want = exchange.request.file_write();
    const ipc::Bulk& bulk = exchange.request.bulk();
    exchange.record.arguments.add("size", static_cast<std::int64_t>(bulk.total()));
    if (want.has_count()) exchange.record.arguments.add("count", want.count());
    if (!want.buf_b64().empty()) return Violation{"file_write: contents in the frame"};
    if (bulk.total() > kMaxValueSize || bulk.has_first() != (bulk.total() > 0))
        return Violation{"file_write: bad total"};
    WorkerState& worker = exchange.session.worker;
    // Parts that the worker may send before it learns of a refusal.
    worker.ended_seq = exchange.request.seq();
    worker.ended_parts = bulk.total() > 0 ? kChunks : 0;
    if (find_file(exchange, want.handle()) == nullptr) return bad_handle();
    const auto total = static_cast<std::int64_t>(bulk.total());
    const std::int64_t count = want.has_count() ? want.count() : total;
    if (count < 0 || count > total) return Refusal{.reason = ipc::BAD_COUNT, .why = "count out of range"};
    worker.transfer = Transfer{.seq = exchange.request.seq(),
                               .handle = want.handle(),
                               .wanted = static_cast<std::uint64_t>(count),
                               .coming = bulk.total()};
    worker.phase = Phase::kWriting;
    if (bulk.total() > 0) return take_part(exchange, bulk.first());
    exchange.reply.mutable_file_write();
    end_transfer(exchange, 0);
    return Done{};
}

Answer answer_chunk_filled(Exchange& exchange) {
    WorkerState& worker = exchange.session.worker;
    const std::uint64_t seq = exchange.request.seq();
    if (worker.phase != Phase::kWriting || seq != worker.transfer.seq) return ignore_if_late(worker, seq);
    return take_part(exchange, exchange.request.chunk_filled().data());
}

}  // namespace sallyport::broker
