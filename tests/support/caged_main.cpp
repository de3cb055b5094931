// The main of a test that mounts or freezes real file systems: itself in a cage.
#include <gtest/gtest.h>

#include "tests/support/cage.hpp"

int main(int argc, char** argv) {
    const int status = sallyport::test::run_caged(argc, argv);
    if (status >= 0) return status;
    sallyport::test::expect_caged();
    testing::InitGoogleTest(&argc, argv);
    return RUN_ALL_TESTS();
}
