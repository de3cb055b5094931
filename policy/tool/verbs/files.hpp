// Reads and writes whole files, by descriptor.
// Runs in:  the policy tool; reading and writing also after lockdown_compiler()
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

#include "base/result.hpp"
#include "base/unique_fd.hpp"

namespace sallyport::policy::cli {

/// Opens a file for reading. Errors: kSystem.
Result<UniqueFd> open_to_read(const std::string& path);

/// What stands for "-". Errors: kSystem.
Result<UniqueFd> standard_input();

/// Creates or empties a file. Errors: kSystem.
Result<UniqueFd> open_to_write(const std::string& path);

/// Everything up to the end of the file. Errors: kSystem; kLimit if it is more than `limit` bytes.
Result<std::string> read_all(FdRef file, std::size_t limit);

/// Errors: kSystem.
Status write_all(FdRef file, std::string_view bytes);

/// Writes to standard output or standard error, and ignores errors.
void print(std::string_view text);
void complain(std::string_view text);

/// "sallyport-policy: NAME: what the system says", for standard error.
std::string describe(std::string_view name, const Error& error);

}  // namespace sallyport::policy::cli
