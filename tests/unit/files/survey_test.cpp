// Questions that children answer, some of them never.
#include "broker/files/survey.hpp"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>

namespace sallyport::files {
namespace {

Answer number(std::size_t at) {
    return {.bytes = std::to_string(at), .fd = UniqueFd(::open("/dev/null", O_PATH | O_CLOEXEC))};
}

TEST(Survey, EachAnswerComesWithItsDescriptorAndNoChildIsLeft) {
    const auto answers = survey(1000, number);
    ASSERT_TRUE(answers);
    for (std::size_t at = 0; at < answers->size(); ++at) {
        ASSERT_TRUE((*answers)[at]) << at;
        EXPECT_EQ((*answers)[at]->bytes, std::to_string(at));
        EXPECT_TRUE((*answers)[at]->fd.is_open());
    }
    EXPECT_EQ(::waitpid(-1, nullptr, 0), -1);
    EXPECT_EQ(errno, ECHILD);
}

TEST(Survey, NothingIsAskedWhereThereIsNoQuestion) {
    const auto answers = survey(0, number);
    ASSERT_TRUE(answers);
    EXPECT_TRUE(answers->empty());
}

TEST(Survey, OnesThatHangAreLeftOutAndAllOthersAreAnswered) {
    const auto hangs = [](std::size_t at) { return at % 7 == 3; };
    const auto answers = survey(100, [&](std::size_t at) {
        if (hangs(at)) ::pause();
        return number(at);
    });
    ASSERT_TRUE(answers);
    for (std::size_t at = 0; at < answers->size(); ++at)
        EXPECT_EQ((*answers)[at].has_value(), !hangs(at)) << at;
    EXPECT_EQ(::waitpid(-1, nullptr, 0), -1);
    EXPECT_EQ(errno, ECHILD);
}

TEST(Survey, OneThatEndsWithoutAnAnswerCostsItsOwnAlone) {
    const auto answers = survey(20, [](std::size_t at) {
        if (at == 5) ::_exit(1);
        return number(at);
    });
    ASSERT_TRUE(answers);
    for (std::size_t at = 0; at < answers->size(); ++at) EXPECT_EQ((*answers)[at].has_value(), at != 5) << at;
}

// One that cannot be killed would keep a lock of ours, or hold up whoever waits for our end of a socket.
TEST(Survey, WhoLooksHasNoDescriptorOfOurs) {
    const UniqueFd null(::open("/dev/null", O_RDONLY | O_CLOEXEC));
    const UniqueFd ours(::fcntl(null.get(), F_DUPFD_CLOEXEC, 10));
    const auto answers = survey(1, [&](std::size_t) {
        return Answer{.bytes = ::fcntl(ours.get(), F_GETFD) == 0 ? "open" : "closed", .fd = {}};
    });
    ASSERT_TRUE(answers && (*answers)[0]);
    EXPECT_EQ((*answers)[0]->bytes, "closed");
}

}  // namespace
}  // namespace sallyport::files
