// Runs in:  starter, recorder
#include "base/lock_file.hpp"

#include <sys/stat.h>

namespace sallyport {

Status close_to_others(FdRef file) {
    constexpr mode_t kOwners = 0600;
    struct stat info{};
    if (::fstat(file.get(), &info) != 0) return system_error("fstat");
    if ((info.st_mode & (S_IRWXG | S_IRWXO)) == 0) return {};
    if (::fchmod(file.get(), kOwners) != 0)
        return system_error("others can open a file that is to be locked, and its mode cannot be made 0600");
    return {};
}

}  // namespace sallyport
