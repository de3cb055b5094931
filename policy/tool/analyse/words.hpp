// Requests as words: guest-file-open path=/etc/shadow mode=r.
// Runs in:  the policy tool
#pragma once

#include <expected>
#include <string>
#include <vector>

#include "policy/tool/analyse/request.hpp"

namespace sallyport::policy::analyse {

/// A feature's name and its value.
using Word = std::pair<std::string, std::string>;

/// What there is to be said of the request, its time too if `with_time`.
std::vector<Word> words_of(const Request& request, bool with_time);

/// The same in one line; a value with blanks or quotes is between single quotes.
std::string line_of(const Request& request, bool with_time);

/// `words` are the command's name and NAME=VALUE; what is not said stays as it is in `from`. Otherwise a sentence that says what
/// cannot be read.
std::expected<Request, std::string> read_words(const std::vector<std::string>& words, const Request& from);

/// Gives one feature its value.
std::expected<void, std::string> read_word(Request& request, const Word& word);

}  // namespace sallyport::policy::analyse
