// Stands in for broker/files/open.cpp and use.cpp: files that exist in memory only, and fail when told to. All are below /work.
#pragma once

#include <cstddef>
#include <string>

namespace sallyport::fuzz {

/// Makes the files as they are at the start: `a` of 3 bytes, `b` of two chunks and a half, `c` of a megabyte and a half.
void reset_files();

/// The next use of a file fails with this errno.
void fail_next_use(int sys_errno);

/// The byte of which the contents of a file consist, by the path that the host named.
std::byte content_of(const std::string& path);

}  // namespace sallyport::fuzz
