// The lines of an authorized_keys: which are keys, and what becomes of them. Pure.
// Runs in:  a child of the launcher, as a user
// Input:    the text of his file, and keys that a host may add or remove
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace sallyport::accounts {

using Lines = std::vector<std::string>;

/// As qemu-ga takes a file apart and writes it: an empty text has no line, any other one more than line ends.
Lines split(std::string_view text);
std::string join(const Lines& lines);

/// The keys, without blanks around them, the last first. What is no UTF-8 in one is shown as U+FFFD, byte by byte.
Lines shown_of(const Lines& lines);
/// How many lines are keys: neither empty nor a comment.
std::size_t count_keys(const Lines& lines);

/// Adds those that are not there yet, in order; whether there was a key among them, and not just empty lines.
bool add(Lines& lines, const Lines& keys);
void remove(Lines& lines, const Lines& keys);

}  // namespace sallyport::accounts
