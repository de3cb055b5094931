// The arena's memory file: who has its descriptor cannot take memory away under a mapping.
#include "ipc/arena.hpp"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <utility>

namespace sallyport::ipc {
namespace {

TEST(Arena, IsSealedSoThatNobodyShrinksGrowsOrUnsealsIt) {
    const auto arena = Arena::create();
    ASSERT_TRUE(arena);
    const int fd = arena->fd().get();
    EXPECT_EQ(::fcntl(fd, F_GET_SEALS), F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL);
    for (const off_t size : {off_t{0}, off_t{kArenaSize} - 1, off_t{kArenaSize} * 2}) {
        EXPECT_EQ(::ftruncate(fd, size), -1) << size;
        EXPECT_EQ(errno, EPERM) << size;
    }
    EXPECT_EQ(::fcntl(fd, F_ADD_SEALS, F_SEAL_WRITE), -1)
        << "a worker could not be given one that can be written";
    struct stat info{};
    ASSERT_EQ(::fstat(fd, &info), 0);
    EXPECT_EQ(info.st_size, off_t{kArenaSize});
}

TEST(Arena, OfAnotherSizeIsNotMapped) {
    for (const off_t size : {off_t{0}, off_t{kArenaSize} - 1, off_t{kArenaSize} * 2}) {
        UniqueFd fd(::memfd_create("arena", MFD_CLOEXEC));
        ASSERT_EQ(::ftruncate(fd.get(), size), 0);
        EXPECT_FALSE(Arena::map(std::move(fd))) << size;
    }
}

TEST(Arena, HasNoExtentThatBeginsOrEndsOutside) {
    constexpr auto kAll = static_cast<std::uint32_t>(kArenaData);
    const auto arena = Arena::create();
    ASSERT_TRUE(arena);
    for (const auto& [offset, size] : {std::pair{0U, kAll}, {kAll - 1, 1U}, {7U, kAll - 7}}) {
        const auto extent = arena->extent(offset, size);
        ASSERT_TRUE(extent) << offset << " " << size;
        EXPECT_EQ(extent->size(), size);
        EXPECT_EQ(extent->data() - arena->header().data(), std::ptrdiff_t{kArenaHeader} + offset);
    }
    for (const auto& [offset, size] : {std::pair{0U, 0U},
                                       {kAll, 0U},
                                       {0U, kAll + 1},
                                       {1U, kAll},
                                       {kAll, 1U},
                                       {kAll - 1, 2U},
                                       {~0U, 1U},
                                       {~0U, 2U},
                                       {1U, ~0U},
                                       {~0U, ~0U}})
        EXPECT_FALSE(arena->extent(offset, size)) << offset << " " << size;
}

}  // namespace
}  // namespace sallyport::ipc
