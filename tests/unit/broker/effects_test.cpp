// What was changed has its line, however often it comes and however its request ends.
#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>

#include "room.hpp"

namespace sallyport::broker {
namespace {

constexpr int kMany = 100;  // more than there are lines of refusals at once

class Effects : public Room {
protected:
    /// The worker sends a request, and has ended before it hears of it; another begins.
    void ask_and_end(ipc::Request request) {
        request.set_seq(session_->worker.last_seq + 1);
        std::string bytes;
        ipc::encode(request, bytes);
        ASSERT_TRUE(ipc::send(workers_end_, bytes, ipc::WhenFull::kFail));
        ASSERT_TRUE(ipc::receive(worker_, wire_.frame).value_or(false));
        EXPECT_FALSE(handle_frame(context(), wire_));
        replace_worker();
    }
    ipc::Request opening(const std::string& name, const char* mode) {
        ipc::Request request;
        request.mutable_file_open()->set_path(scratch_.path() / name);
        request.mutable_file_open()->set_mode(mode);
        return request;
    }
    /// How many lines have come since the last call that have all of this.
    std::ptrdiff_t lines_with(const std::string& what, const std::string& more) {
        return std::ranges::count_if(lines(), [&](const std::string& line) {
            return has(line, "\"" + what + "\"") && has(line, more);
        });
    }
};

TEST_F(Effects, OfOpensWhoseWorkersEndAreWritten) {
    for (int at = 0; at < kMany; ++at) ask_and_end(opening("new" + std::to_string(at), "w"));
    EXPECT_EQ(lines_with("guest-file-open", "the worker had ended"), kMany);
    EXPECT_TRUE(std::filesystem::exists(scratch_.path() / ("new" + std::to_string(kMany - 1))));
    EXPECT_TRUE(session_->files.empty());
}

TEST_F(Effects, OfOpensThatChangeNothingAreNoneAndAreCountedBeyondTheirRate) {
    scratch_.write("file", "text");
    for (int at = 0; at < kMany; ++at) ask_and_end(opening("file", "r"));
    EXPECT_LT(lines_with("guest-file-open", "the worker had ended"), kMany);
    for (int at = 0; at < kMany; ++at) {
        EXPECT_FALSE(ask(opening("no/such/directory", "w")));
        EXPECT_TRUE(reply().has_error());
    }
    EXPECT_LT(lines_with("guest-file-open", "fail"), kMany);
}

TEST_F(Effects, OfWritesWhoseWorkersEndAreWrittenWithTheirBytes) {
    EXPECT_FALSE(ask(opening("file", "a")));
    ipc::Request request;
    request.mutable_file_write()->set_handle(reply().file_open().handle());
    request.mutable_bulk()->set_total(3);
    request.mutable_bulk()->mutable_first()->set_size(3);
    for (int at = 0; at < kMany; ++at) ask_and_end(request);
    EXPECT_EQ(scratch_.read("file").size(), std::size_t{3 * kMany});
    EXPECT_EQ(lines_with("guest-file-write", "\"bytes\":3"), kMany);
}

TEST_F(Effects, OfFreezesAndTrimsThatFailAreWritten) {
    for (int at = 0; at < kMany; ++at) {
        EXPECT_FALSE(ask(&ipc::Request::mutable_fsfreeze_freeze));
        ipc::GuardReply failed;
        failed.mutable_freeze_failed()->mutable_error()->set_sys_errno(EIO);
        guard_says(failed);
        EXPECT_FALSE(ask(&ipc::Request::mutable_fstrim));
        ipc::GuardReply trimmed;
        trimmed.mutable_trimmed()->set_last(true);
        trimmed.mutable_trimmed()->mutable_error()->set_sys_errno(EIO);
        guard_says(trimmed);
        while (reply().ByteSizeLong() != 0) continue;
        while (order().op_case() != ipc::GuardRequest::OP_NOT_SET) continue;
    }
    const auto log = lines();
    const auto failed = [&](const std::string& what) {
        return std::ranges::count_if(log, [&](const std::string& line) {
            return has(line, "\"" + what + "\"") && has(line, "\"verdict\":\"fail\"");
        });
    };
    EXPECT_EQ(failed("guest-fsfreeze-freeze"), kMany);
    EXPECT_EQ(failed("guest-fstrim"), kMany);
}

}  // namespace
}  // namespace sallyport::broker
