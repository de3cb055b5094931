// The moment inside of unlink(2) in which an inode has one name less and the name is still there. A file system that brings each
// change to the disk at once makes it long.
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tests/support/loop_fs.hpp"
#include "tests/unit/files/room.hpp"

namespace sallyport::files {
namespace {

constexpr int kOpens = 3000;

class Unlink : public Room {
protected:
    Unlink() {
        if (::mount(nullptr, disk_.point().c_str(), nullptr, MS_REMOUNT | MS_SYNCHRONOUS, nullptr) != 0)
            throw std::runtime_error("remount");
    }
    test::LoopFs disk_{{.type = "ext4", .name = "in"}};
};

TEST_F(Unlink, OfASecondNameIsWaitedForBeforeTheNamesAreBelieved) {
    test::write_to(disk_.path("outside"))->wait();
    allow(disk_.path("shared"));
    ASSERT_EQ(::mkdir(disk_.path("shared").c_str(), 0755), 0);
    ASSERT_TRUE(start());
    const test::Child attacker([this] {
        for (;;) {
            [[maybe_unused]] const int made =
                ::link(disk_.path("outside").c_str(), disk_.path("shared/name").c_str());
            ::unlink(disk_.path("shared/name").c_str());
        }
        return 0;
    });
    int found = 0;
    for (int at = 0; at < kOpens; ++at) {
        const std::string answer = open(disk_.path("shared/name"));
        ASSERT_NE(answer, "=written") << at;
        if (answer == "refused") ++found;
    }
    EXPECT_GT(found, 0);
}

}  // namespace
}  // namespace sallyport::files
