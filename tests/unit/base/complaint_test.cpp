// What a start that fails says to the admin.
#include "base/complaint.hpp"

#include <gtest/gtest.h>

#include <cerrno>

namespace sallyport {
namespace {

TEST(Complaint, NamesTheThingTheFaultAndTheSystemsReason) {
    EXPECT_EQ(text_of(Complaint(Error{Errc::kSystem, "cannot be opened", ENOENT}, "/dev/port")),
              "/dev/port: cannot be opened: No such file or directory");
    EXPECT_EQ(text_of(Error{Errc::kInvalid, "no method"}), "no method");
}

TEST(Complaint, NameCannotWriteOnATerminalNorFillIt) {
    EXPECT_EQ(text_of(Complaint(Error{Errc::kInvalid, "bad"}, "/a\x1b[2J\n\x7f")), "/a?[2J??: bad");
    const std::string kept(256, 'x');
    EXPECT_EQ(text_of(Complaint(Error{Errc::kInvalid, "bad"}, std::string(500'000, 'x'))), kept + "...: bad");
}

Checked<int> third() {
    return TRY(about("the thing", Result<int>(failure(Errc::kLimit, "is too large"))));
}

TEST(Complaint, IsHandedUpWithItsName) {
    const auto failed = third();
    ASSERT_FALSE(failed);
    EXPECT_EQ(text_of(failed.error()), "the thing: is too large");
}

}  // namespace
}  // namespace sallyport
