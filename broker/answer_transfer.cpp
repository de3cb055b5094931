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
template <typename Transfer>
Request end_transfer(WorkerState& worker, std::optional<Transfer>& transfer, std::size_t parts_under_way) {
    worker.ended_seq = transfer->request.seq();
    worker.ended_parts = parts_under_way;
    return take_back(transfer);
}

// INVARIANT: no file is closed while a transfer uses it; dispatch lets nothing in that could. Were it closed, that would be
// the worker's doing: it is ended, the broker is not.
const OpenFile* file_of(const Session& session, std::int64_t handle) {
    const auto at = session.files.find(handle);
    return at == session.files.end() ? nullptr : &at->second;
}
constexpr Violation kNoFile{"a transfer without its file"};

std::optional<Violation> ignore_if_late(WorkerState& worker, std::uint64_t seq) {
    if (seq != worker.ended_seq || worker.ended_parts == 0) return Violation{"a part of no transfer"};
    --worker.ended_parts;
    return std::nullopt;
}

bool would_outgrow(const OpenFile& file, std::uint64_t size) {
    if (!file.max_size || size == 0) return false;
    const auto at = files::write_position(file.fd, file.appends);
    return !at || *at > *file.max_size || size > *file.max_size - *at;
}

// Takes one part of a write out of the arena and into the file.
std::optional<Violation> take_part(const Context& context, const ipc::Extent& extent) {
    Session& session = context.session;
    std::optional<Write>& write = session.worker.write;
    const auto data = session.arena.extent(extent.offset(), extent.size());
    if (!data || data->size() > kChunk || data->size() > write->coming)
        return Violation{"file_write: bad extent"};
    const OpenFile* file = file_of(session, write->handle);
    if (file == nullptr) return kNoFile;
    const std::size_t size = std::min<std::uint64_t>(data->size(), write->wanted);
    write->coming -= data->size();
    const std::size_t still_coming = write->coming == 0 ? 0 : kChunks;
    const auto refuse = [&](const Refusal& refusal) {
        end_transfer(session.worker, write, still_coming).refuse(context, refusal);
        return std::nullopt;
    };
    if (would_outgrow(*file, size))
        return refuse({.reason = ipc::REFUSED, .why = "the file would become larger than the rule accepts"});
    const files::Written written = files::write_all(file->fd, data->first(size));
    write->wanted -= written.size;
    write->done += written.size;
    write->request.record.bytes = write->done;
    if (written.sys_errno != 0)
        return refuse({.reason = ipc::SYSTEM, .sys_errno = written.sys_errno, .why = "write"});
    Reply reply;
    if (write->coming > 0) {
        reply.set_seq(write->request.seq());
        reply.mutable_chunk_used();
        context.tell(reply);
    } else {
        reply.mutable_file_write()->set_count(static_cast<std::int64_t>(write->done));
        end_transfer(session.worker, write, 0).complete(context, std::move(reply));
    }
    return std::nullopt;
}

// The next chunk of the arena holds `size` bytes of a read.
void hand_over(Read& read, std::size_t size, Reply& reply) {
    ipc::Extent& extent = *reply.mutable_data();
    extent.set_offset(static_cast<std::uint32_t>(read.next_chunk * kChunk));
    extent.set_size(static_cast<std::uint32_t>(size));
    read.next_chunk = (read.next_chunk + 1) % kChunks;
    read.done += size;
    read.wanted -= size;
    read.request.record.bytes = read.done;
}

void go_on(const Context& context, Read& read, Reply& reply) {
    ++read.in_flight;
    reply.set_seq(read.request.seq());
    reply.mutable_more();
    context.tell(reply);
}

void send_reply_part(const Context& context) {
    WorkerState& worker = context.session.worker;
    Read& read = *worker.read;
    Reply reply;
    const std::size_t size = std::min<std::uint64_t>(kChunk, read.wanted);
    std::memcpy(context.session.arena.chunk(read.next_chunk).data(), read.text.data() + read.done, size);
    hand_over(read, size, reply);
    if (read.wanted > 0) return go_on(context, read, reply);
    reply.mutable_whole();
    end_transfer(worker, worker.read, read.in_flight + 1).complete(context, std::move(reply));
}

void send_file_part(const Context& context, const OpenFile& file) {
    WorkerState& worker = context.session.worker;
    Read& read = *worker.read;
    const auto chunk =
        context.session.arena.chunk(read.next_chunk).first(std::min<std::uint64_t>(kChunk, read.wanted));
    auto got = files::read_full(file.fd, chunk, file.max_size);
    if (!got && read.done == 0) {
        const int error = got.error().sys_errno;
        return end_transfer(worker, worker.read, 0)
            .refuse(context, {.reason = error == EFBIG ? ipc::REFUSED : ipc::SYSTEM,
                              .sys_errno = error,
                              .why = got.error().what});
    }
    const files::ReadResult result = got.value_or(files::ReadResult{});
    Reply reply;
    if (result.size > 0) hand_over(read, result.size, reply);
    if (result.size == kChunk && read.wanted > 0) return go_on(context, read, reply);
    reply.mutable_file_read()->set_count(static_cast<std::int64_t>(read.done));
    reply.mutable_file_read()->set_eof(result.eof);
    end_transfer(worker, worker.read, read.in_flight + (result.size > 0 ? 1 : 0))
        .complete(context, std::move(reply));
}

Answer later(const std::optional<Violation>& violation) {
    return violation ? Answer(*violation) : Later{};
}

}  // namespace

Answer answer_file_read(Exchange& exchange) {
    const schema::FileRead& want = exchange.asked.file_read();
    const std::int64_t count = want.has_count() ? want.count() : kDefaultReadCount;
    exchange.request.record.arguments.add("count", count);
    if (find_file(exchange, want.handle()) == nullptr) return bad_handle();
    if (count < 0 || count > kMaxReadCount)
        return Refusal{.reason = ipc::BAD_COUNT, .why = "count out of range"};
    exchange.request.record.bytes = 0;
    exchange.session.worker.read = Read{.request = std::move(exchange.request),
                                        .handle = want.handle(),
                                        .wanted = static_cast<std::uint64_t>(count)};
    return later(send_parts(exchange.context));
}

std::optional<Violation> send_parts(const Context& context) {
    const WorkerState& worker = context.session.worker;
    while (worker.read && worker.read->in_flight < kChunks && !worker.is_deaf) {
        if (!worker.read->text.empty()) {
            send_reply_part(context);
            continue;
        }
        const OpenFile* file = file_of(context.session, worker.read->handle);
        if (file == nullptr) return kNoFile;
        send_file_part(context, *file);
    }
    return std::nullopt;
}

std::optional<Violation> hear_chunk_used(const Context& context, const ipc::Request& said) {
    WorkerState& worker = context.session.worker;
    if (!worker.read || said.seq() != worker.read->request.seq()) return ignore_if_late(worker, said.seq());
    if (worker.read->in_flight == 0) return Violation{"chunk_used: no part is under way"};
    --worker.read->in_flight;
    return send_parts(context);
}

Answer answer_file_write(Exchange& exchange) {
    const schema::FileWrite& want = exchange.asked.file_write();
    const ipc::Bulk& bulk = exchange.asked.bulk();
    exchange.request.record.arguments.add("size", static_cast<std::int64_t>(bulk.total()));
    if (want.has_count()) exchange.request.record.arguments.add("count", want.count());
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
    exchange.request.record.bytes = 0;
    if (bulk.total() == 0) {
        Reply reply;
        reply.mutable_file_write();
        return reply;
    }
    worker.write = Write{.request = std::move(exchange.request),
                         .handle = want.handle(),
                         .wanted = static_cast<std::uint64_t>(count),
                         .coming = bulk.total()};
    return later(take_part(exchange.context, bulk.first()));
}

std::optional<Violation> hear_chunk_filled(const Context& context, const ipc::Request& said) {
    WorkerState& worker = context.session.worker;
    if (!worker.write || said.seq() != worker.write->request.seq()) return ignore_if_late(worker, said.seq());
    return take_part(context, said.chunk_filled().data());
}

}  // namespace sallyport::broker
