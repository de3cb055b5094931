// Answers guest-file-read and guest-file-write, in parts through the arena. Replies of the inspector and outputs of programs that
// do not fit into a frame take the same way.
// Runs in:  broker, after lockdown()
// Input:    canonical requests that were in order; their values still come from the worker
// INVARIANT: at most kChunks parts of a read are in the arena unused. The worker's counting is checked against ours.
#include <algorithm>
#include <cerrno>
#include <cstring>

#include "broker/serve/answer.hpp"
#include "broker/serve/file_work.hpp"
#include "ipc/limits.hpp"

namespace sallyport::broker {

namespace {

// Ends the transfer. Frames about its parts may still come from the worker, at most `parts_under_way` of them.
template <typename Transfer>
Request end_transfer(WorkerState& worker, std::optional<Transfer>& transfer, std::size_t parts_under_way) {
    worker.ended_seq = transfer->request.seq();
    worker.ended_parts = parts_under_way;
    return take_back(transfer);
}

// INVARIANT: no file is closed while a transfer uses it. Operations that close files are refused during a transfer
// (dispatch.cpp), and a clerk that is lost with its file ends the transfer.
OpenFile& file_of(Session& session, std::int64_t handle) {
    const auto at = session.files.find(handle);
    SALLYPORT_CHECK(at != session.files.end());
    return at->second;
}

std::optional<Violation> ignore_if_late(WorkerState& worker, std::uint64_t seq) {
    if (seq != worker.ended_seq || worker.ended_parts == 0) return Violation{"a part of no transfer"};
    --worker.ended_parts;
    return std::nullopt;
}

// THREAT: a clerk still reads for a worker that has ended, into the arena that its successor on the connection shares. A worker
// has one transfer at a time, so any earlier one that is under way is not its own.
Refusal earlier_transfer() {
    return {.reason = ipc::SYSTEM, .sys_errno = EBUSY, .why = "a transfer of an earlier worker is under way"};
}

// Ends the transfer if what let it begin is over; its handle ends at the next use. The clock was looked at for the event that leads here.
//
// THREAT: a host, or a worker that was taken over, holds back a transfer that has begun, and has the rest moved long after its rule has
// expired. So each part is decided about, as the first was.
template <typename Transfer>
bool ends_with_rule(const Context& context, Transfer& transfer) {
    const Session& session = context.session;
    const auto decision =
        policy::decide_command(session.policy, *transfer.request.command(), session.clock.now());
    if (decision.is_allowed() && may_be_used(session, file_of(context.session, transfer.handle)))
        return false;
    constexpr const char* kWhy =
        "meanwhile the rule has expired, or its hours are over, or a deny rule counts";
    transfer.request.record.arguments.add("ended", kWhy);
    refuse_part(context, transfer, {.reason = ipc::REFUSED, .why = kWhy});
    return true;
}

// A part of a transfer, as an order to a clerk.
ipc::MoveOrder move_of(const OpenFile& file, std::size_t offset, std::size_t size) {
    ipc::MoveOrder order;
    order.set_offset(static_cast<std::uint32_t>(offset));
    order.set_size(static_cast<std::uint32_t>(size));
    if (file.fd.is_open()) order.set_place(file.position);
    if (file.max_size) order.set_most(*file.max_size);
    return order;
}

// Gives the order to the file's own clerk, or to any free one. Otherwise the transfer waits for a clerk, or is refused.
template <typename Transfer>
void give(const Context& context, Transfer& transfer, const OpenFile& file, const ipc::FileOrder& order) {
    Session& session = context.session;
    if (!file.fd.is_open()) {
        if (!session.files_hand.order(file.clerk, {.order = order, .arena = &session.arena}))
            return refuse_part(context, transfer, gone_or_busy());
        transfer.part.clerk = file.clerk;
        return;
    }
    const auto clerk =
        session.files_hand.order_any({.order = order, .file = file.fd, .arena = &session.arena});
    if (!clerk) return refuse_part(context, transfer, too_many_hang());
    transfer.part.clerk = *clerk;
    if (*clerk != 0)
        transfer.request.due_ns = 0;
    else if (transfer.request.due_ns == 0)
        transfer.request.due_ns = boottime_ns() + kFileTimeoutNs;
}

// The first part has been written, or need not be. Its chunk can be filled again.
void use_part(const Context& context, std::size_t size) {
    std::optional<Write>& write = context.session.worker.write;
    write->wanted -= size;
    write->done += size;
    write->request.record.bytes = write->done;
    write->parts.erase(write->parts.begin());
    Reply reply;
    if (write->coming > 0 || !write->parts.empty()) {
        reply.set_seq(write->request.seq());
        reply.mutable_chunk_used();
        return context.tell(reply);
    }
    reply.mutable_file_write()->set_count(static_cast<std::int64_t>(write->done));
    end_transfer(context.session.worker, write, 0).complete(context, std::move(reply));
}

// Has the first of the received parts written, unless that is already under way.
void write_parts(const Context& context) {
    std::optional<Write>& write = context.session.worker.write;
    while (write && !write->parts.empty() && !write->part.is_wanted) {
        const std::size_t size = std::min<std::uint64_t>(write->parts.front().size(), write->wanted);
        if (size == 0) {
            use_part(context, 0);
            continue;
        }
        if (ends_with_rule(context, *write)) return;
        write->part = {.is_wanted = true, .size = size};
        take_bytes(context, file_of(context.session, write->handle).by, size);
        order_part(context, *write);
    }
}

// Notes one part of a write.
//
// THREAT: a worker sends more parts without waiting until earlier ones are used. There are at most as many as the arena has
// chunks.
std::optional<Violation> take_extent(const Context& context, const ipc::Extent& extent) {
    Session& session = context.session;
    Write& write = *session.worker.write;
    const auto data = session.arena.extent(extent.offset(), extent.size());
    if (!data || data->size() > kChunk || data->size() > write.coming || write.parts.size() == kChunks)
        return Violation{"file_write: bad extent"};
    write.coming -= data->size();
    write.parts.push_back(extent);
    write_parts(context);
    return std::nullopt;
}

// Announces `size` bytes of a read in the next chunk of the arena.
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
    const std::size_t size = std::min<std::uint64_t>(kChunk, read.wanted);
    const std::int64_t program = read.program;
    Reply reply = size == read.wanted ? std::move(read.answer) : Reply();
    std::memcpy(context.session.arena.chunk(read.next_chunk).data(), read.text.data() + read.done, size);
    hand_over(read, size, reply);
    if (read.wanted > 0) return go_on(context, read, reply);
    end_transfer(worker, worker.read, read.in_flight + 1).complete(context, std::move(reply));
    if (program != 0) forget_program(context.session, program);
}

// The next part of a file is in the arena.
void take_read(const Context& context, OpenFile& file, const ReadPart& got) {
    WorkerState& worker = context.session.worker;
    Read& read = *worker.read;
    Reply reply;
    file.position += got.size;
    take_bytes(context, file.by, got.size);
    if (got.size > 0) hand_over(read, got.size, reply);
    if (got.size == kChunk && read.wanted > 0) return go_on(context, read, reply);
    reply.mutable_file_read()->set_count(static_cast<std::int64_t>(read.done));
    reply.mutable_file_read()->set_eof(got.eof);
    end_transfer(worker, worker.read, read.in_flight + (got.size > 0 ? 1 : 0))
        .complete(context, std::move(reply));
}

void send_file_part(const Context& context) {
    Session& session = context.session;
    Read& read = *session.worker.read;
    if (ends_with_rule(context, read)) return;
    OpenFile& file = file_of(session, read.handle);
    const auto chunk =
        session.arena.chunk(read.next_chunk).first(std::min<std::uint64_t>(kChunk, read.wanted));
    const auto cached = chunk.empty() ? ReadPart{} : read_cached(file, chunk);
    if (cached) return take_read(context, file, *cached);
    read.part = {.is_wanted = true, .size = chunk.size()};
    order_part(context, read);
}

}  // namespace

void send_parts(const Context& context) {
    const WorkerState& worker = context.session.worker;
    while (worker.read && worker.read->in_flight < kChunks && !worker.is_deaf &&
           !worker.read->part.is_wanted) {
        if (worker.read->text.empty())
            send_file_part(context);
        else
            send_reply_part(context);
    }
}

Answer answer_file_read(Exchange& exchange) {
    const schema::FileRead& want = exchange.asked.file_read();
    const std::int64_t count = want.has_count() ? want.count() : kDefaultReadCount;
    exchange.request.record.arguments.add("count", count);
    const OpenFile* file = find_file(exchange, want.handle());
    if (file == nullptr) return bad_handle();
    if (count < 0 || count > kMaxReadCount)
        return Refusal{.reason = ipc::BAD_COUNT, .why = "count out of range"};
    // As at the end of a file, a reader gets less than it asked for.
    const auto most = bytes_left(exchange.session, file->by, static_cast<std::uint64_t>(count));
    if (most == 0 && count > 0) return spent_bytes(exchange.request);
    if (exchange.session.files_hand.is_moving()) return earlier_transfer();
    exchange.request.record.bytes = 0;
    exchange.session.worker.read =
        Read{.request = std::move(exchange.request), .handle = want.handle(), .wanted = most};
    send_parts(exchange.context);
    return Later{};
}

std::optional<Violation> hear_chunk_used(const Context& context, const ipc::Request& said) {
    WorkerState& worker = context.session.worker;
    if (!worker.read || said.seq() != worker.read->request.seq()) return ignore_if_late(worker, said.seq());
    if (worker.read->in_flight == 0) return Violation{"chunk_used: no part is under way"};
    --worker.read->in_flight;
    send_parts(context);
    return std::nullopt;
}

void expect_parts(const Exchange& exchange) {
    if (!exchange.asked.has_file_write()) return;
    WorkerState& worker = exchange.session.worker;
    worker.ended_seq = exchange.request.seq();
    worker.ended_parts = exchange.asked.bulk().total() > 0 ? kChunks : 0;
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
    const OpenFile* file = find_file(exchange, want.handle());
    if (file == nullptr) return bad_handle();
    const auto total = static_cast<std::int64_t>(bulk.total());
    const std::int64_t count = want.has_count() ? want.count() : total;
    if (count < 0 || count > total) return Refusal{.reason = ipc::BAD_COUNT, .why = "count out of range"};
    const auto wanted = static_cast<std::uint64_t>(count);
    // Half of a write is worth nothing to many hosts.
    if (bytes_left(exchange.session, file->by, wanted) < wanted) return spent_bytes(exchange.request);
    exchange.request.record.bytes = 0;
    if (bulk.total() == 0) {
        Reply reply;
        reply.mutable_file_write();
        return reply;
    }
    if (exchange.session.files_hand.is_moving()) return earlier_transfer();
    worker.write = Write{.request = std::move(exchange.request),
                         .handle = want.handle(),
                         .wanted = wanted,
                         .coming = bulk.total()};
    const auto violation = take_extent(exchange.context, bulk.first());
    return violation ? Answer(*violation) : Later{};
}

std::optional<Violation> hear_chunk_filled(const Context& context, const ipc::Request& said) {
    WorkerState& worker = context.session.worker;
    if (!worker.write || said.seq() != worker.write->request.seq()) return ignore_if_late(worker, said.seq());
    return take_extent(context, said.chunk_filled().data());
}

void order_part(const Context& context, Read& read) {
    const OpenFile& file = file_of(context.session, read.handle);
    ipc::FileOrder order;
    *order.mutable_read() = move_of(file, read.next_chunk * kChunk, read.part.size);
    give(context, read, file, order);
}

// THREAT: a write of an earlier worker, or one that was abandoned, is carried out after this one and overwrites it. Or a host
// writes to a file opened for reading: if no rule allows writing, the filter would kill the clerk each time.
void order_part(const Context& context, Write& write) {
    OpenFile& file = file_of(context.session, write.handle);
    if (context.session.files_hand.may_be_at_work(file.writer))
        return refuse_part(context, write, gone_or_busy());
    if (!file.writes)
        return refuse_part(context, write, {.reason = ipc::SYSTEM, .sys_errno = EBADF, .why = "write"});
    ipc::FileOrder order;
    *order.mutable_write() = move_of(file, write.parts.front().offset(), write.part.size);
    give(context, write, file, order);
    if (context.session.worker.write && write.part.clerk != 0) file.writer = write.part.clerk;
}

void refuse_part(const Context& context, Read& read, const Refusal& refusal) {
    WorkerState& worker = context.session.worker;
    read.part = {};
    // What was read before is still a valid short read, unless the file is gone with its clerk.
    if (read.done > 0 && context.session.files.contains(read.handle))
        return take_read(context, file_of(context.session, read.handle), {});
    end_transfer(worker, worker.read, read.in_flight).refuse(context, refusal);
}

void refuse_part(const Context& context, Write& write, const Refusal& refusal) {
    const std::size_t still_coming = write.coming == 0 ? 0 : kChunks;
    WorkerState& worker = context.session.worker;
    end_transfer(worker, worker.write, still_coming).refuse(context, refusal);
}

void take_part(const Context& context, Read& read, const ClerkReport& said) {
    const ipc::FileReport& report = said.report;
    if (!report.has_failed() && !report.has_moved()) take_unheard(context.session, context.audit);
    read.part = {};
    if (report.has_failed()) {
        const int error = report.failed().sys_errno();
        refuse_part(context, read,
                    {.reason = error == EFBIG ? ipc::REFUSED : ipc::SYSTEM,
                     .sys_errno = error,
                     .why = report.failed().why().c_str()});
    } else if (!report.has_moved()) {
        refuse_part(context, read, lost_clerk(context.session, said));
    } else {
        take_read(context, file_of(context.session, read.handle),
                  {.size = report.moved().size(), .eof = report.moved().eof()});
    }
    send_parts(context);
}

void take_part(const Context& context, Write& write, const ClerkReport& said) {
    if (!said.report.has_moved()) take_unheard(context.session, context.audit);
    const std::size_t asked = std::exchange(write.part, {}).size;
    if (!said.report.has_moved()) return refuse_part(context, write, lost_clerk(context.session, said));
    OpenFile& file = file_of(context.session, write.handle);
    const ipc::MovedReport& moved = said.report.moved();
    file.writer = 0;
    file.position += moved.size();
    // For an appending file only the kernel knows the new position.
    if (file.appends && file.fd.is_open()) (void)seek(file, 0, 2);
    if (moved.size() == asked) {
        use_part(context, asked);
        return write_parts(context);
    }
    write.done += moved.size();
    write.request.record.bytes = write.done;
    const int error = moved.sys_errno() == 0 ? EIO : moved.sys_errno();
    if (error == EFBIG && file.max_size)
        return refuse_part(
            context, write,
            {.reason = ipc::REFUSED, .why = "the file would become larger than the rule accepts"});
    refuse_part(context, write, {.reason = ipc::SYSTEM, .sys_errno = error, .why = "write"});
}

}  // namespace sallyport::broker
