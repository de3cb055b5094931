// Bytes:   a sequence of operations: frames of a worker that was taken over, and what the broker's other peers do meanwhile.
// Promise: the broker never crashes; a request has one reply and one line in the log, in order; nobody gets another's file;
//          the frozen state, its mark and the log agree; whoever comes next is served. See stage.cpp and expectations.cpp.
#include <signal.h>

#include <cerrno>
#include <cstdint>
#include <span>

#include "base/clock.hpp"
#include "ipc/limits.hpp"
#include "tests/fuzz/hours.hpp"
#include "tests/fuzz/played_time.hpp"
#include "tests/fuzz/stage.hpp"

namespace sallyport::fuzz {
namespace {

using Op = ipc::Request;

constexpr std::size_t kMaxOperations = 200;

// An open handle, mostly the newest.
std::int64_t draw_handle(Draw& draw) {
    const std::size_t back = draw.below(5);
    if (back == 4)
        return draw.one_of({std::int64_t{0}, std::int64_t{-1}, kFirstHandle, std::int64_t{1} << 62});
    if (back >= handles().size()) return kFirstHandle;
    return std::prev(handles().end(), static_cast<std::ptrdiff_t>(back) + 1)->first;
}

std::string draw_path(Draw& draw) {
    const std::size_t which = draw.below(8);
    constexpr const char* kPaths[] = {"/work/b",        "/work/c", "/work/a", "/work/new",
                                      "/work/denied/a", "/else",   ""};
    return which == 7 ? "/work/" + draw.bytes(8) : kPaths[which];
}

void draw_bulk(Draw& draw, ipc::Bulk& bulk) {
    constexpr std::uint64_t kTotals[] = {3,          kChunk,        kChunk * 5 / 2,    0,
                                         kChunk * 9, kMaxValueSize, kMaxValueSize + 1, ~0ULL};
    bulk.set_total(draw.one_of(kTotals));
    if (bulk.total() == 0 && !draw.rarely(8)) return;
    constexpr std::uint32_t kSizes[] = {1, kChunk, 3, 0, kChunk + 1, kArenaData, ~0U};
    constexpr std::uint32_t kOffsets[] = {0, kChunk, kArenaData - 1, kArenaData, ~0U};
    bulk.mutable_first()->set_size(draw.one_of(kSizes));
    bulk.mutable_first()->set_offset(draw.one_of(kOffsets));
}

void draw_file_request(Draw& draw, Op& request) {
    switch (draw.below(8)) {
        case 0: {
            request.mutable_file_open()->set_path(draw_path(draw));
            if (draw.rarely(8)) return;
            return request.mutable_file_open()->set_mode(
                draw.one_of({"r", "r+", "w", "a", "a+", "w+", "", "x"}));
        }
        case 1:
            request.mutable_file_read()->set_handle(draw_handle(draw));
            return request.mutable_file_read()->set_count(
                draw.one_of({std::int64_t{kChunk * 5}, std::int64_t{3}, std::int64_t{0}, kMaxReadCount,
                             kMaxReadCount + 1, std::int64_t{-1}}));
        case 2:
            request.mutable_file_write()->set_handle(draw_handle(draw));
            if (draw.rarely(8)) request.mutable_file_write()->set_count(draw.one_of({0, 1, -1, 1 << 30}));
            if (draw.rarely(32)) request.mutable_file_write()->set_buf_b64("YQ==");
            return draw_bulk(draw, *request.mutable_bulk());
        case 3:
            return request.mutable_file_close()->set_handle(draw_handle(draw));
        case 4: {
            schema::FileSeek& seek = *request.mutable_file_seek();
            seek.set_handle(draw_handle(draw));
            seek.set_offset(
                draw.one_of({std::int64_t{0}, std::int64_t{-1}, std::int64_t{1} << 40, INT64_MIN}));
            return seek.mutable_whence()->set_code(draw.one_of({0, 1, 2, 3, -1}));
        }
        case 5:
            return request.mutable_file_flush()->set_handle(draw_handle(draw));
        case 6:
            request.mutable_command_disabled()->set_command(
                draw.one_of({static_cast<std::uint32_t>(CommandId::kGetLoad), 200U, 1U}));
            return;
        default:
            request.mutable_reply_dropped()->set_seq(draw.below(8));
    }
}

// A list of nothing, or of some of these.
template <std::size_t kSize>
void draw_words(Draw& draw, const char* const (&set)[kSize], schema::Strings& words) {
    while (!draw.rarely(3) && !draw.is_empty()) words.add_item(draw.one_of(set));
}

// In the frame or in the arena, where it may be spoilt.
void draw_start(Draw& draw, Stage& stage, Op& request) {
    schema::Exec& want = *request.mutable_exec();
    const bool is_narrow = draw.rarely(2);
    want.set_path(is_narrow ? "/narrow" : draw.one_of({"/program", "/program", "/else", ""}));
    if (is_narrow && !draw.rarely(8)) {
        want.mutable_arg()->add_item("-n");
        want.mutable_arg()->add_item(draw.one_of({"7", "99", "07", "100", "x"}));
    } else {
        draw_words(draw, {"w", "-n", "7", ""}, *want.mutable_arg());
    }
    if (draw.rarely(4)) draw_words(draw, {"LEVEL=1", "OTHER=1", "LEVEL"}, *want.mutable_env());
    if (draw.rarely(4)) want.set_input_data(std::string(draw.one_of({0U, 3U, 50'000U, 500'000U}), 'i'));
    if (!draw.rarely(4))
        want.mutable_capture_output()->set_mode(
            static_cast<schema::GuestExecCaptureOutput::Mode>(draw.one_of({4, 5, 1, 2, 3, 0, 9})));
    if (want.input_data().size() < kMaxFrame / 2 && !draw.rarely(4)) return;
    std::string bytes;
    ipc::encode(want, bytes);
    if (draw.rarely(16)) bytes = draw.bytes(32);
    want.Clear();
    stage.fill_arena(bytes);
    request.mutable_bulk()->set_total(bytes.size());
    request.mutable_bulk()->mutable_first()->set_size(static_cast<std::uint32_t>(bytes.size()));
}

// Mostly about one of the last programs.
void draw_program_request(Draw& draw, Stage& stage, Op& request) {
    if (!draw.rarely(2)) return draw_start(draw, stage, request);
    const std::size_t back = draw.below(6);
    const std::int64_t number =
        back < programs().size() ? std::prev(programs().end(), static_cast<std::ptrdiff_t>(back) + 1)->first
                                 : kFirstHandle + draw.byte();
    request.mutable_exec_status()->set_pid(number);
}

// In the frame or in the arena, where it may be spoilt.
void draw_freeze_list(Draw& draw, Stage& stage, Op& request) {
    schema::FsfreezeFreezeList& list = *request.mutable_fsfreeze_freeze_list();
    if (draw.rarely(4)) return;
    list.mutable_mountpoints();
    while (draw.rarely(2)) list.mutable_mountpoints()->add_item(draw.one_of({"/a", "/b", "/c"}));
    if (!draw.rarely(4)) return;
    std::string bytes;
    ipc::encode(list, bytes);
    list.Clear();
    if (draw.rarely(4)) bytes = draw.bytes(32);
    stage.fill_arena(bytes);
    request.mutable_bulk()->set_total(bytes.size());
    request.mutable_bulk()->mutable_first()->set_size(static_cast<std::uint32_t>(bytes.size()));
}

constexpr const char* kUsers[] = {"ann", "bob", "ann", "root", "", "-x", "ann:x"};

// A few lines, some too many, or more than an order holds.
void draw_keys(Draw& draw, schema::Strings& keys) {
    constexpr const char* kLines[] = {"ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAA a",
                                      "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5",
                                      "ssh-rsa AAAA",
                                      "command=\"x\" ssh-rsa AAAA",
                                      "# x",
                                      "a\nb",
                                      ""};
    while (!draw.rarely(3) && !draw.is_empty()) keys.add_item(draw.one_of(kLines));
    if (draw.rarely(8)) keys.add_item(std::string(draw.one_of({5000U, 61'300U, 61'440U, 65'000U}), 'k'));
    if (!draw.rarely(16)) return;
    for (int left = 1000; left > 0; --left) keys.add_item("k");
}

void draw_account_request(Draw& draw, Op& request) {
    const char* const user = draw.one_of(kUsers);
    switch (draw.below(4)) {
        case 0: {
            schema::SetUserPassword& password = *request.mutable_set_user_password();
            password.set_username(user);
            password.set_password(std::string(kSecret) + draw.one_of({"", "", "\nroot:x", ":x"}));
            if (draw.rarely(8)) password.set_password(std::string(draw.one_of({0U, 1024U, 1025U}), 'p'));
            return password.set_crypted(draw.rarely(2));
        }
        case 1:
            return request.mutable_ssh_get_authorized_keys()->set_username(user);
        case 2:
            request.mutable_ssh_add_authorized_keys()->set_username(user);
            draw_keys(draw, *request.mutable_ssh_add_authorized_keys()->mutable_keys());
            if (draw.rarely(3)) request.mutable_ssh_add_authorized_keys()->set_reset(draw.rarely(2));
            return;
        default:
            request.mutable_ssh_remove_authorized_keys()->set_username(user);
            draw_keys(draw, *request.mutable_ssh_remove_authorized_keys()->mutable_keys());
    }
}

// A few, as many as are passed on, or one more.
std::size_t draw_count(Draw& draw) {
    return draw.rarely(16) ? draw.one_of({kMaxSetItems, kMaxSetItems + 1}) : draw.below(4);
}

void draw_setting(Draw& draw, Op& request) {
    constexpr std::int64_t kSome = 400 * Stage::kNsPerSecond;
    switch (draw.below(3)) {
        case 0:
            request.mutable_set_time();
            if (draw.rarely(4)) return;
            return request.mutable_set_time()->set_time(
                draw.one_of({wall_ns(), wall_ns() + kSome, wall_ns() - kSome, std::int64_t{-1},
                             kSettableEndNs, INT64_MIN, INT64_MAX}));
        case 1:
            request.mutable_set_vcpus();
            for (std::size_t left = draw_count(draw); left > 0; --left) {
                schema::SetVcpus::Vcpu& one = *request.mutable_set_vcpus()->add_vcpus();
                one.set_logical_id(
                    draw.one_of({std::int64_t{1}, std::int64_t{2}, std::int64_t{4}, std::int64_t{5},
                                 std::int64_t{0}, std::int64_t{-1}, INT64_MAX}));
                one.set_online(draw.rarely(2));
            }
            return;
        default:
            request.mutable_set_memory_blocks();
            for (std::size_t left = draw_count(draw); left > 0; --left) {
                schema::SetMemoryBlocks::Block& one = *request.mutable_set_memory_blocks()->add_mem_blks();
                one.set_phys_index(draw.one_of({std::uint64_t{0}, std::uint64_t{7}, ~std::uint64_t{0}}));
                one.set_online(draw.rarely(2));
            }
    }
}

// About accounts, or about what may be set.
void draw_change(Draw& draw, const Stage& stage, Op& request) {
    if (stage.has_accounts() && (!stage.has_settings() || draw.rarely(2)))
        return draw_account_request(draw, request);
    draw_setting(draw, request);
}

void put_query(Op& request, CommandId command) {
    request.mutable_inspect()->set_command(static_cast<std::uint32_t>(command));
}

void draw_other_request(Draw& draw, Stage& stage, Op& request) {
    switch (draw.below(12)) {
        case 0:
            return (void)request.mutable_suspend_hybrid();
        case 1:
            return (void)request.mutable_fsfreeze_freeze();
        case 2:
            return draw_freeze_list(draw, stage, request);
        case 3:
            return (void)request.mutable_fsfreeze_thaw();
        case 4:
            return (void)request.mutable_fstrim();
        case 5:
            return request.mutable_shutdown()->set_mode(draw.one_of({"powerdown", "halt", "x"}));
        case 6:
            return (void)request.mutable_suspend_ram();
        case 7:
            return (void)request.mutable_suspend_disk();
        case 8:
            return put_query(request, CommandId::kGetTime);
        case 9:
            return put_query(request, CommandId::kGetUsers);
        case 10:
            return put_query(request, CommandId::kGetHostName);
        default:
            return put_query(request, CommandId::kGetLoad);
    }
}

// About a transfer: mostly what an honest worker says next.
void draw_part(Draw& draw, Stage& stage, Op& request) {
    constexpr std::uint32_t kSizes[] = {1, kChunk, 2, 0, kChunk + 1};
    switch (draw.below(4)) {
        case 0:
            request.mutable_chunk_used();
            break;
        case 1: {
            ipc::Extent& extent = *request.mutable_chunk_filled()->mutable_data();
            extent.set_size(
                static_cast<std::uint32_t>(std::min<std::uint64_t>(kChunk, stage.worker().coming)));
            break;
        }
        case 2:
            request.mutable_chunk_filled()->mutable_data()->set_size(draw.one_of(kSizes));
            break;
        default:
            request.mutable_chunk_filled();
    }
    request.set_seq(stage.worker().transfer());
}

Op draw_request(Draw& draw, Stage& stage) {
    Op request;
    const std::size_t kind = draw.below(4);
    if (!stage.worker().is_greeted() && !draw.rarely(8)) stage.greet();
    const bool is_about_program = stage.has_programs() && kind < 3 && draw.rarely(2);
    const bool has_changes = stage.has_accounts() || stage.has_settings();
    if (is_about_program)
        draw_program_request(draw, stage, request);
    else if (has_changes && kind < 3 && draw.rarely(2))
        draw_change(draw, stage, request);
    else if (kind == 0)
        draw_other_request(draw, stage, request);
    else if (kind < 3)
        draw_file_request(draw, request);
    if (kind == 3) draw_part(draw, stage, request);
    if (kind != 3 && !request.has_reply_dropped()) request.set_seq(stage.worker().last_seq() + 1);
    if (draw.rarely(32)) request.mutable_hello();
    if (draw.rarely(32))
        request.set_seq(draw.one_of({std::uint64_t{0}, std::uint64_t{1}, ~std::uint64_t{0}}));
    if (draw.rarely(32)) draw_bulk(draw, *request.mutable_bulk());
    return request;
}

void spoil(Draw& draw, std::string& bytes) {
    if (bytes.empty()) return;
    const std::size_t at = draw.below(256) % bytes.size();
    switch (draw.below(3)) {
        case 0:
            bytes[at] = static_cast<char>(draw.byte());
            return;
        case 1:
            return bytes.resize(at);
        default:
            bytes += draw.bytes(16);
    }
}

void send_odd_frame(Draw& draw, Stage& stage) {
    std::string bytes;
    if (draw.rarely(4)) {
        bytes = draw.bytes(64);
    } else {
        ipc::encode(draw_request(draw, stage), bytes);
        spoil(draw, bytes);
    }
    stage.send_bytes(bytes);
}

// More than the log keeps while file systems are frozen, or than a worker's socket holds.
void flood(Draw& draw, Stage& stage) {
    const std::size_t count = draw.one_of({10U, 300U, 1100U});
    if (draw.rarely(2)) stage.mute();
    const std::uint64_t number = stage.worker().number();
    for (std::size_t at = 0; at < count && stage.worker().number() == number && !stage.is_over(); ++at) {
        if (!stage.worker().is_greeted()) stage.greet();
        Op thaw;
        thaw.mutable_fsfreeze_thaw();
        thaw.set_seq(stage.worker().last_seq() + 1);
        stage.send(thaw);
    }
}

void act_as_launcher(Draw& draw, Stage& stage) {
    if (stage.launcher.is_taken_over && draw.rarely(2))
        stage.launcher.lie(draw);
    else
        stage.launcher.act(draw);
    stage.settle();
}

void act_as_inspector(Draw& draw, Stage& stage) {
    if (stage.inspector.is_taken_over && draw.rarely(2))
        stage.inspector.lie(draw);
    else
        stage.inspector.act(draw);
    stage.settle();
}

// The wall clock is set, or time passes for all clocks.
void let_time_pass(Draw& draw, Stage& stage) {
    if (!stage.has_hours()) return stage.pass_time();
    if (draw.rarely(2)) return stage.pass_time(draw.one_of({1, 5, 20, 59}) * Stage::kNsPerSecond);
    move_clock(draw.byte());
    stage.settle();
}

void do_one(Draw& draw, Stage& stage) {
    switch (draw.below(22)) {
        default:
            return stage.send(draw_request(draw, stage));
        case 7:
            if (!stage.has_accounts() && !stage.has_settings()) return stage.send(draw_request(draw, stage));
            return act_as_launcher(draw, stage);
        case 8:
            return send_odd_frame(draw, stage);
        case 9:
        case 10:
        case 11:
            stage.guard.act(draw);
            return stage.settle();
        case 12:
            return act_as_launcher(draw, stage);
        case 13:
            return act_as_inspector(draw, stage);
        case 14:
            return stage.end_worker(draw.rarely(2));
        case 15:
            return let_time_pass(draw, stage);
        case 16:
            return stage.files.fail_next(draw.one_of({EIO, ENOSPC, EACCES, ELOOP, EINTR}));
        case 17:
            if (stage.has_hours() && draw.rarely(2)) return let_time_pass(draw, stage);
            if (stage.inspector.is_taken_over && draw.rarely(2)) return act_as_inspector(draw, stage);
            return stage.mute();
        case 18:
            if (draw.rarely(4)) return flood(draw, stage);
            if (draw.rarely(2)) stage.files.is_stuck = !stage.files.is_stuck;
            return stage.settle();
        case 19:
            return draw.rarely(16) ? stage.stop() : void();
        case 20:
            stage.recorder.is_stuck = !stage.recorder.is_stuck;
            return stage.settle();
        case 21:
            return draw.rarely(4) ? stage.send_signal(SIGHUP) : stage.pass_time(100 * Stage::kNsPerSecond);
    }
}

void play(std::span<const std::uint8_t> input) {
    // So that a rule can expire if a host sets the clock forwards, and that it can set it back: set_clock().
    constexpr std::int64_t kWallOffset = 500;
    constexpr std::int64_t kWhile = 300;
    Draw draw(input);
    reset_time();
    set_wall_offset(kWallOffset);
    const std::uint8_t terms = draw.byte();
    std::optional<std::int64_t> hours_shift;
    if ((terms & 128U) != 0) hours_shift = std::int64_t{draw.byte()} - 200;
    Stage stage({.has_hooks = (terms & 1U) != 0,
                 .goes_on = (terms & 2U) != 0,
                 .has_programs = (terms & 4U) != 0,
                 .has_settings = (terms & 16U) != 0,
                 .while_s = kWhile,
                 .has_accounts = (terms & 32U) != 0,
                 .hours_shift = hours_shift});
    stage.inspector.is_taken_over = (terms & 64U) != 0;
    stage.launcher.is_taken_over = (terms & 8U) != 0 && (terms & 52U) != 0;
    for (std::size_t at = 0; at < kMaxOperations && !draw.is_empty() && !stage.is_over(); ++at)
        do_one(draw, stage);
    stage.finish();
    set_wall_offset(0);
}

}  // namespace
}  // namespace sallyport::fuzz

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    using namespace sallyport;
    static const bool is_prepared = [] {
        ipc::silence_protobuf();
        return fuzz::PlayedFiles::prepare(), true;
    }();
    static_cast<void>(is_prepared);
    const std::size_t before = fuzz::count_descriptors();
    fuzz::play({data, size});
    fuzz::promise(fuzz::count_descriptors() <= before + 1, "no descriptor is left");
    return 0;
}
