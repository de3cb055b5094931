#include "worker/ask.hpp"

#include <cstring>
#include <utility>

#include "base/secret.hpp"
#include "ipc/codec.hpp"
#include "ipc/limits.hpp"

namespace sallyport::worker {

namespace {

// Cuts a text that is over `limit` bytes, but leaves it over the limit: the broker refuses it and records that. The host is told
// the whole text.
void shorten(std::string& text, std::size_t limit) {
    constexpr std::size_t kLongestCodePoint = 4;
    if (text.size() <= limit + kLongestCodePoint) return;
    std::size_t end = limit + 1;
    while ((static_cast<unsigned char>(text[end]) & 0xC0U) == 0x80U) ++end;
    text.resize(end);
}

bool has_long_text(const ipc::Request& request) {
    return request.has_file_open() && (request.file_open().path().size() > kMaxPath + 4 ||
                                       request.file_open().mode().size() > kMaxOpenMode + 4);
}

}  // namespace

Status Ask::send(const ipc::Request& request) {
    ipc::encode(request, bytes_);
    return ipc::send(socket_, bytes_, ipc::WhenFull::kWait);
}

Status Ask::greet() {
    request_.Clear();
    request_.mutable_hello();
    return send(request_);
}

Result<bool> Ask::receive_reply() {
    const auto got = ipc::receive(socket_, frame_);
    if (!got || !*got) return got;
    if (const auto decoded = ipc::decode(frame_.bytes, reply_, bytes_); !decoded)
        return std::unexpected(decoded.error());
    return true;
}

Result<bool> Ask::receive_welcome(ipc::Welcome& welcome) {
    const auto got = receive_reply();
    if (!got || !*got) return got;
    if (reply_.seq() != 0 || !reply_.has_welcome()) return failure(Errc::kInvalid, "broker: no welcome");
    welcome = reply_.welcome();
    return true;
}

Status Ask::start_urgent(const Pending& work) {
    SALLYPORT_CHECK(is_busy() && !has_urgent());
    urgent_ = &work;
    urgent_seq_ = ++seq_;
    request_ = work.request;
    request_.set_seq(urgent_seq_);
    return send(request_);
}

void Ask::promote(const Pending& work) {
    SALLYPORT_CHECK(!is_busy() && has_urgent());
    work_ = &work;
    work_seq_ = urgent_seq_;
    urgent_ = nullptr;
}

Status Ask::start(const Pending& work) {
    SALLYPORT_CHECK(!is_busy());
    work_ = &work;
    work_seq_ = ++seq_;
    next_chunk_ = 0;
    unacknowledged_ = 0;
    outgoing_left_ = 0;
    whole_ = {};
    request_ = work.request;
    request_.set_seq(work_seq_);
    if (request_.shutdown().mode().size() > kMaxOpenMode)
        shorten(*request_.mutable_shutdown()->mutable_mode(), kMaxOpenMode);
    if (has_long_text(request_)) {
        shorten(*request_.mutable_file_open()->mutable_path(), kMaxPath);
        if (request_.file_open().has_mode())
            shorten(*request_.mutable_file_open()->mutable_mode(), kMaxOpenMode);
    }
    if (request_.has_fsfreeze_freeze_list()) put_apart(*request_.mutable_fsfreeze_freeze_list());
    if (request_.has_exec()) put_apart(*request_.mutable_exec());
    if (request_.has_set_user_password()) return send_secret();
    if (!request_.has_file_write()) return send(request_);
    outgoing_ = Base64Decoder(work.data());
    outgoing_left_ = work.data_size;
    request_.mutable_bulk()->set_total(work.data_size);
    if (work.data_size > 0) fill_part(*request_.mutable_bulk()->mutable_first());
    if (const auto sent = send(request_); !sent) return sent;
    return send_parts();
}

// The request at work keeps its copy until it has ended.
Status Ask::send_secret() {
    const auto sent = send(request_);
    forget_secret(request_);
    wipe(bytes_);
    wipe_stack();
    return sent;
}

// Moves what does not fit into a frame to the arena.
void Ask::put_apart(google::protobuf::Message& message) {
    constexpr std::size_t kOthers = 64;  // for the rest of the frame
    if (message.ByteSizeLong() <= kMaxFrame - kOthers) return;
    std::string encoded;
    ipc::encode(message, encoded);
    const auto place = arena_.extent(0, static_cast<std::uint32_t>(encoded.size()));
    SALLYPORT_CHECK(place);
    std::memcpy(place->data(), encoded.data(), encoded.size());
    message.Clear();
    request_.mutable_bulk()->set_total(encoded.size());
    request_.mutable_bulk()->mutable_first()->set_size(static_cast<std::uint32_t>(encoded.size()));
}

void Ask::fill_part(ipc::Extent& extent) {
    const std::size_t size = outgoing_.decode(arena_.chunk(next_chunk_));
    SALLYPORT_CHECK(size > 0 && size <= outgoing_left_);
    extent.set_offset(static_cast<std::uint32_t>(next_chunk_ * kChunk));
    extent.set_size(static_cast<std::uint32_t>(size));
    outgoing_left_ -= size;
    next_chunk_ = (next_chunk_ + 1) % kChunks;
    ++unacknowledged_;
}

Status Ask::send_parts() {
    while (outgoing_left_ > 0 && unacknowledged_ < kChunks) {
        request_.Clear();
        request_.set_seq(work_seq_);
        fill_part(*request_.mutable_chunk_filled()->mutable_data());
        if (const auto sent = send(request_); !sent) return sent;
    }
    return {};
}

Result<Ask::Event> Ask::receive() {
    for (;;) {
        const auto got = receive_reply();
        if (!got) return std::unexpected(got.error());
        if (!*got) return Event::kNothing;
        if (reply_.seq() == 0 && reply_.has_frozen_state()) return Event::kState;
        if (has_urgent() && reply_.seq() == urgent_seq_) {
            if (!is_answer(*urgent_))
                return failure(Errc::kInvalid, "broker: the answer to another question");
            urgent_ = nullptr;
            return Event::kUrgent;
        }
        if (!is_busy() || reply_.seq() != work_seq_)
            return failure(Errc::kInvalid, "broker: a reply nobody waits for");
        if (!reply_.has_chunk_used()) return take_reply();
        if (!work_->request.has_file_write() || unacknowledged_ == 0)
            return failure(Errc::kInvalid, "broker: a part nobody sent");
        --unacknowledged_;
        if (const auto sent = send_parts(); !sent) return std::unexpected(sent.error());
    }
}

Result<Ask::Event> Ask::take_reply() {
    if (const auto taken = take_data(); !taken) return std::unexpected(taken.error());
    if (reply_.has_more() && data_.empty()) return failure(Errc::kInvalid, "broker: a part without data");
    if (reply_.has_data() && !work_->request.has_file_read()) return take_reply_part();
    if (reply_.has_more()) return Event::kPart;
    if (!is_answer(*work_)) return failure(Errc::kInvalid, "broker: the answer to another question");
    work_ = nullptr;
    return Event::kFinished;
}

// A reply of the inspector, or a program's output, that comes in parts because it does not fit into a frame.
Result<Ask::Event> Ask::take_reply_part() {
    const bool looks = work_->request.has_inspect() && reply_.has_more() != reply_.has_relayed();
    const bool is_output = work_->request.has_exec_status() && reply_.has_more() != reply_.has_exec_status();
    if (!looks && !is_output) return failure(Errc::kInvalid, "broker: data nobody asked for");
    const std::size_t most = looks ? kMaxInspected : std::size_t{2} * kMaxExecOutput;
    if (data_.size() > most - whole_.size()) return failure(Errc::kLimit, "broker: a reply too large");
    whole_.append(reinterpret_cast<const char*>(data_.data()), data_.size());
    data_ = {};
    if (reply_.has_more()) {
        const auto released = release_part();
        return released ? Result<Event>(Event::kNothing) : std::unexpected(released.error());
    }
    if (!is_answer(*work_)) return failure(Errc::kInvalid, "broker: the answer to another question");
    if (looks)
        *reply_.mutable_relayed()->mutable_inspected() = std::exchange(whole_, {});
    else if (const auto put = put_output(); !put)
        return std::unexpected(put.error());
    work_ = nullptr;
    return Event::kFinished;
}

Status Ask::put_output() {
    const std::string whole = std::exchange(whole_, {});
    if (reply_.err_size() > whole.size()) return failure(Errc::kInvalid, "broker: a wrong size");
    schema::ExecStatusReply& status = *reply_.mutable_exec_status();
    if (reply_.err_size() > 0) status.set_err_data(whole.substr(0, reply_.err_size()));
    if (reply_.err_size() < whole.size()) status.set_out_data(whole.substr(reply_.err_size()));
    return {};
}

bool Ask::is_answer(const Pending& work) const {
    if (reply_.has_error()) return true;
    if (reply_.has_relayed() && reply_.relayed().command() != work.request.inspect().command()) return false;
    // A reply has the field number of its request. CommandDisabled is answered only by an error.
    constexpr int kFirstCommand = ipc::Request::kFileOpen;
    const int asked = work.request.command_case();
    return asked >= kFirstCommand && static_cast<int>(reply_.result_case()) == asked;
}

Status Ask::take_data() {
    data_ = {};
    if (!reply_.has_data()) return {};
    const auto extent = arena_.extent(reply_.data().offset(), reply_.data().size());
    if (!extent) return std::unexpected(extent.error());
    data_ = *extent;
    return {};
}

Status Ask::release_part() {
    request_.Clear();
    request_.set_seq(work_seq_);
    request_.mutable_chunk_used();
    return send(request_);
}

Status Ask::report_drop() {
    request_.Clear();
    request_.mutable_reply_dropped()->set_seq(reply_.seq());
    return send(request_);
}

}  // namespace sallyport::worker
