// A place in which file systems can be frozen: a mount namespace whose root is a tmpfs with copies of the programs and
// libraries that are needed. Nothing of the machine's own disks is mounted in it and no node of them is in its /dev, so
// that not even an agent gone wild can freeze them: FIFREEZE needs an open file of the file system.
#pragma once

#include <string>

namespace sallyport::test {

/// Runs this program once more inside a cage and gives back its exit status; in the cage, returns -1 at once. When the
/// inner run is over, whatever it left is thawed, unmounted and detached.
int run_caged(int argc, char** argv);

/// Refuses, by throwing, to go on anywhere but in a cage: every mount must be a tmpfs, proc, sysfs or of a loop device.
void expect_caged();

}  // namespace sallyport::test
